"""The documentation says what the program does."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import polars as pl

from catalog.features import SAMPLE_SCHEMA, derive_features, wanted_fields
from catalog.fields import FeatureDefinition, load_dictionary
from catalog.tables.tables import read_tables
from mmbase.settings import settings_of
from mmcli.settings_table import page_with_table, settings_table
from mmtrain.config.presets import PRESETS
from mmtrain.config.run import SECTIONS

ROOT = Path(__file__).parents[1]
LABELS = (ROOT / "docs" / "labels.md").read_text(encoding="utf-8")
OF_OTHER_PROGRAMS = {
    *("--constraint", "--mem", "--nv", "--nproc-per-node", "--no-python", "--partition", "--upgrade"),
    *("--clear-output", "--inplace"),
    *("--batch", "--cached", "--format", "--no-abbrev", "--no-renames", "--raw", "--reverse", "--root"),
}
"""Options of other programs that messages name, and those of git, which mm release-check calls."""
POLICIES = {"same": "the imaging visit", "nearest": "nearest to the scan", "earliest": "the first"}


def rows_under(heading: str) -> Iterator[list[str]]:
    """Yield the cells of the first table behind a text."""
    lines = LABELS[LABELS.index(heading) :].splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith("|---"))
    for line in lines[first + 1 :]:
        if not line.startswith("|"):
            return
        yield [cell.strip() for cell in line.strip("|").split("|")]


def field_row(name: str, definition: FeatureDefinition) -> list[str]:
    codes = ", ".join(f"{code} → {value:g}" for code, value in (definition.recode or {}).items())
    number = f"{definition.unit} ({codes})" if codes else definition.unit
    missing = ", ".join(map(str, definition.missing)) or "–"
    return [f"`{name}`", str(definition.field), number, missing, POLICIES[definition.policy], definition.block or "–"]


def test_the_page_of_labels_has_every_feature_as_the_dictionary_has_it() -> None:
    expected = [field_row(name, definition) for name, definition in load_dictionary().items() if definition.field]
    assert list(rows_under("## The features")) == expected


def test_the_page_of_labels_has_every_derivation_as_the_dictionary_has_it() -> None:
    derived = {name: definition.any_of for name, definition in load_dictionary().items() if definition.any_of}
    for (name, parts), (shown, one, zero) in zip(derived.items(), rows_under("Derived from several"), strict=True):
        assert shown == f"`{name}`"
        numbers = [[int(number) for number in re.findall(r"\d+", text)] for text in one.split(";")]
        assert numbers == [[part.field, *part.codes] for part in parts]
        (question,) = [part for part in parts if part.answers]
        assert [int(number) for number in re.findall(r"-?\d+", zero)] == [question.field, *question.missing]


def test_the_worked_cases_of_hypertension_come_out_as_the_page_says(tmp_path: Path) -> None:
    dictionary = {"hypertension": load_dictionary()["hypertension"]}
    outcomes = set()
    for number, (answer, illness, onset, outcome) in enumerate(rows_under("Worked cases")):
        cells = {"53-0.0": "2009-06-01", "53-2.0": "2019-06-01"}
        cells |= {"6150-2.0": answer.replace("−", "-")} if answer != "–" else {}
        cells |= {"20002-0.0": illness.split()[0]} if illness != "–" else {}
        cells |= {"131286-0.0": onset} if onset != "–" else {}
        table = tmp_path / f"{number}.csv"
        table.write_text(f"eid,{','.join(cells)}\n1000001,{','.join(cells.values())}\n")
        tables = read_tables([table], wanted_fields(dictionary), {}, [1000001])
        samples = pl.DataFrame([("s", 1000001, 2)], schema=SAMPLE_SCHEMA, orient="row")
        ((_, values),) = derive_features(tables, samples, dictionary)
        expected = [] if outcome.startswith("no value") else [float(outcome[0])]
        assert values["value"].to_list() == expected, (answer, illness, onset)
        outcomes.add(outcome[0])
    assert outcomes == {"1", "0", "n"}


def test_the_fields_of_ones_own_that_the_page_shows_can_be_used() -> None:
    (example,) = re.findall(r"```toml\n(.*?)```", LABELS, re.DOTALL)
    own = tomllib.loads(example)["features"]
    dictionary = load_dictionary(own)
    assert own.keys() == {"grip", "diabetes"} and own.keys() <= dictionary.keys()


def test_the_page_of_settings_says_what_the_fields_of_the_code_say() -> None:
    page = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    assert page == page_with_table(page, settings_table(*SECTIONS.values())), "run: make docs"


def test_the_page_of_the_reference_names_every_option_that_its_preset_sets_otherwise() -> None:
    page = (ROOT / "docs" / "reference.md").read_text(encoding="utf-8")
    settings = {setting.name: setting for setting in settings_of(*SECTIONS.values())}
    differ = [settings[name] for name, value in PRESETS["reference"].items() if settings[name].default != value]
    assert len(differ) > 10
    assert [setting.name for setting in differ if not any(option in page for option in setting.option_names)] == []


def test_every_page_that_is_linked_to_exists() -> None:
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    broken = [
        f"{page.relative_to(ROOT)}: {target}"
        for page in pages
        for target in re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
        if not (page.parent / target).exists()
    ]
    assert broken == []


def test_every_option_that_a_message_names_exists() -> None:
    sources = [path for part in ("catalog", "mmcli", "mmstudy", "mmtrain") for path in (ROOT / part).rglob("*.py")]
    named = {option for path in sources for option in re.findall(r"(?<![\w-])--[a-z][a-z-]+", path.read_text())}
    pages = [(ROOT / "docs" / name).read_text(encoding="utf-8") for name in ("cli.md", "settings.md")]
    known = {option for page in pages for option in re.findall(r"--[a-z][a-z-]+", page)}
    assert len(named) > 10 and named - OF_OTHER_PROGRAMS <= known
