"""What a command does to a study: where the catalogue, the data plane and the trainer meet. Nothing here prints."""
