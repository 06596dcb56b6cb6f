"""How one scan is read out of its archive, folder or file."""
