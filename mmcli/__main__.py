"""Where `mm` begins: with our own modules, or with a line that says which of them another package hides."""

import sys

from mmbase.modules import HOME, stranger_message, strangers

DOCTOR = "doctor"
"""The command that tells of all that is wrong, and works without the catalogue."""


def main() -> None:
    """Start the command line."""
    found = strangers()
    if found and ("cli" in found or DOCTOR not in sys.argv):
        sys.exit(f"error: {stranger_message(found)}")
    try:
        from cli import app
    except ImportError as error:
        if error.name != "cli":
            raise
        sys.exit(
            f"error: {HOME / 'cli.py'} is not that of mm: another package that has a module cli was installed into the "
            "same environment. Install mm into one of its own."
        )
    app()


if __name__ == "__main__":
    main()
