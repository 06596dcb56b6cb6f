"""Where a run's numbers can be kept beside its own directory: a file each, with a `LOGGER`; see `mmtrain.logs`."""
