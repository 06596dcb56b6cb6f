"""What can be wrong with a source, one kind to a participant."""
