"""What `mm doctor` looks at: this installation, the machine, and the folders that commands work in."""
