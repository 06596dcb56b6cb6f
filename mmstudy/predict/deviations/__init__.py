"""In what scans, stores and tables differ from what a model takes for granted: a module for each kind."""
