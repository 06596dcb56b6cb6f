"""The chunked arrays of a study: what they are, where they lie, how rows are read and written."""
