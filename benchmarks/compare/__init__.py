"""What `benchmarks.compare_commits` is made of. Nothing here imports mm: between two commits, that is what changes."""
