"""One page about an ingested study: what it holds, what its scans look like, and which of them to look at."""
