"""The report of a study: one page about many models, made of their comparison."""
