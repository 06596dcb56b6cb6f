"""Predict from study samples and from files of new people, each held against what the model takes for granted."""
