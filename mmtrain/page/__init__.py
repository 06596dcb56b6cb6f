"""The page about a run: what it found, and whether to believe it; aggregates only, unless it is for internal use."""
