"""What predictions look like together: counts and means that tell of no single person."""
