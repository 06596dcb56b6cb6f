"""The published weights of the reference study: their files, what those were trained on, and the network they make."""
