"""What a command did, as tests ask for it."""

import hashlib
from pathlib import Path

from typer.testing import Result


def complaint(result: Result, *, exit_code: int = 1) -> str:
    """Return the one line on stderr of a command that failed."""
    assert result.exit_code == exit_code, result.output
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    if exit_code == 2:
        assert result.stderr.startswith("Usage: ")
        return result.stderr
    lines = result.stderr.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("error: ")
    return lines[0]


def complaint_last(result: Result) -> str:
    """Return the last line on stderr of a command that failed after it had begun."""
    assert result.exit_code == 1, result.output
    assert "Traceback" not in result.stderr
    errors = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert errors == result.stderr.splitlines()[-1:]
    return errors[0]


def snapshot(root: Path) -> dict[str, str]:
    """Return every path below a directory with a hash of what it holds; but of locks, which name their last holder."""
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "folder"
        for path in sorted(root.rglob("*"))
        if path.suffix != ".lock"
    }
