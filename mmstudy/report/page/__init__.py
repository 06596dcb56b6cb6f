"""The page of a report: one file that loads nothing, made of a report's content alone."""
