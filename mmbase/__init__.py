"""What every package stands on: records, names, files, locks and errors. Imports nothing of ours."""
