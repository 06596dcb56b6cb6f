"""What the pages of the documentation show: their blocks, and the commands of mm in them.

A block in ``` or ```bash is typed into a shell. In one that is not run, two spaces or a # end a command, and what is
said of it follows; capitals stand for the reader's own names.
"""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
SHELL = ("", "bash")
"""Languages of blocks that are typed into a shell."""
_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_COMMAND = re.compile(r"(?:^|\bdo |^\w+=\S+ |--no-python |^timeout \S+ \S+ |^srun )mm (.*)")
_END = re.compile(r"\s{2,}|\s#|\s[|>]|;")


def pages() -> list[Path]:
    """Return the pages that a user reads."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def read_page(name: str) -> str:
    """Return the text of a page in docs."""
    return (ROOT / "docs" / name).read_text(encoding="utf-8")


def blocks(page: str, languages: tuple[str, ...] = SHELL) -> list[str]:
    """Return the blocks of a page in some languages, in order."""
    return [text for language, text in _BLOCK.findall(page) if language in languages]


def shown_commands(page: str) -> Iterator[list[str]]:
    """Yield the words behind `mm` of each command in the blocks of a page."""
    for block in blocks(page):
        for line in block.replace("\\\n", " ").splitlines():
            if found := _COMMAND.search(line):
                yield shlex.split(re.sub(r"\$\w+", "1", _END.split(found[1])[0]))


def named_commands(page: str) -> Iterator[list[str]]:
    """Yield the words behind `mm` of each command that the text names between backticks."""
    for found in re.findall(r"`mm ([^`]+)`", _BLOCK.sub("", page)):
        yield found.split()


_HERE = re.compile(r".*<<'(\w+)'")


def statements(block: str) -> Iterator[str]:
    """Yield what a shell is told in a block, one after the other: lines that go on are joined, comments left out."""
    lines = iter(block.replace("\\\n", " ").splitlines())
    for line in lines:
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        if here := _HERE.match(line):
            content = [line, *iter(lambda: next(lines), here[1]), here[1]]
            yield "\n".join(content)
        else:
            yield line
