"""From a cohort and its stores to batches on the device, in an order that is a function of the seed."""
