"""What `make bench` runs: every speed claim is a ratio against a peer, measured in one run."""
