import re
from pathlib import Path

ROOT = Path(__file__).parents[3]
SOURCES = [*(ROOT / "catalog" / "audit").glob("*.py"), ROOT / "mmstudy" / "audit.py", ROOT / "mmbase" / "doubts.py"]


def test_every_finding_is_in_the_docs_and_no_other() -> None:
    text = "\n".join(path.read_text(encoding="utf-8") for path in SOURCES)
    expressions = re.findall(r"code(?:: str)?\s?=\s?(.*?),?\n", text)
    codes = {code for expression in expressions for code in re.findall(r'"([a-z]+(?:-[a-z]+)+)"', expression)}
    documented = re.findall(
        r"^\| `([a-z-]+)` \|", (ROOT / "docs" / "audit.md").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert len(codes) > 20
    assert sorted(documented) == sorted(codes)
