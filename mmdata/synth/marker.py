"""How a synthetic release is told from a real one: by the first words of its README."""

from pathlib import Path

from mmbase.input_files import require_regular

README_NAME = "README.txt"
FIRST_WORDS = "SYNTHETIC DATA. Nobody in this release exists."


def is_synthetic(folder: Path) -> bool:
    """Return whether a folder says that it is a synthetic release; one that cannot be read does not say it."""
    path = folder / README_NAME
    try:
        require_regular(path)
        with path.open("rb") as file:
            return file.read(len(FIRST_WORDS)) == FIRST_WORDS.encode()
    except OSError:
        return False
