"""What may follow from what leaves a study: attacks on its runs, and checks of the summaries that were exported."""
