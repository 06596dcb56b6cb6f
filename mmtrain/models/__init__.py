"""Networks: what they have in common, how they are made and kept, and one file in `networks` for each."""
