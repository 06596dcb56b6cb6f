"""The version of this program; the distribution's metadata and every run take it from here."""

VERSION = "0.2.0"
DISTRIBUTION = "megamodeller"
"""What pip installs; its command is `mm`."""
