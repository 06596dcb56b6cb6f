"""A synthetic UK Biobank release: brains, connectivity and a table with a known truth, in UK Biobank's own layout."""
