"""Finished runs measured again: with their own weights on this machine, and from subsets of their inputs."""
