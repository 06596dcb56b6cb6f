"""What goes into an image is the same in every recipe, is enough to install mm, and is nothing else of a clone."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
ALLOWED = set(re.findall(r"^!(\S+)$", (ROOT / ".dockerignore").read_text(), re.MULTILINE))


def test_nothing_but_what_is_named_goes_into_an_image() -> None:
    lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if not line.startswith("#")]
    assert lines[0] == "*"
    assert all((ROOT / name).exists() for name in ALLOWED)


def test_both_recipes_take_the_same_files_and_run_the_same_script() -> None:
    definition = (ROOT / "container" / "mm.def").read_text()
    files = definition.partition("%files\n")[2].partition("\n\n")[0]
    assert {line.split()[0] for line in files.splitlines()} == ALLOWED
    assert all(line.split()[1] == f"/src/{line.split()[0]}" for line in files.splitlines())
    for recipe in (definition, (ROOT / "container" / "Containerfile").read_text()):
        assert "bash /src/container/install.sh /src" in recipe


def test_both_recipes_begin_with_the_same_system_and_set_the_same_variables() -> None:
    containerfile = (ROOT / "container" / "Containerfile").read_text()
    definition = (ROOT / "container" / "mm.def").read_text()
    assert re.findall(r"^FROM (\S+)$", containerfile, re.MULTILINE) == re.findall(
        r"^From: (\S+)$", definition, re.MULTILINE
    )
    shared = dict(re.findall(r"([A-Z_]+)=(/?\S+)", containerfile.partition("ENV ")[2].partition("USER")[0]))
    assert shared.pop("HOME") == "/tmp"  # Apptainer gives the user's own
    assert shared == dict(re.findall(r"export ([A-Z_]+)=(\S+)", definition))


def test_every_package_goes_into_an_image() -> None:
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"benchmarks", "tests"}
    assert packages <= ALLOWED
