"""Write what leaves the catalogue: features of samples, or counts that tell of nobody."""
