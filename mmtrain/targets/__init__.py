"""What a run predicts: one file in `kinds` for each kind of target."""
