"""Source files to volumes to Zarr stores: the data plane of mm, and the only package that reads images."""
