"""What is wrong, or may be, with a study's labels, splits and inputs."""
