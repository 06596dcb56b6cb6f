"""UK Biobank's bulk files: which there are, and what is read out of them."""
