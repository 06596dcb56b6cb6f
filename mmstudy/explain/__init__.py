"""Explain models of a study: whom to look at, what is read of them, what is written."""
