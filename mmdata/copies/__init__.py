"""Augmented copies of the training samples: planned, estimated, made, shown."""
