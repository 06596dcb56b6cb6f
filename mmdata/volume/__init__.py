"""From a NIfTI image to the numbers of one volume on the grid, and from time series or matrices to edges."""
