import re
from pathlib import Path

import duckdb
import pytest

from catalog.audit.reach import state_reach
from catalog.audit.scope import Scope, open_scope
from catalog.fields import load_dictionary

DOCS = Path(__file__).parents[3] / "docs" / "audit.md"
DICTIONARY = load_dictionary()


def state(connection: duckdb.DuckDBPyConnection, target: str | None = None) -> dict[str, str]:
    """Return what is stated of each code."""
    with open_scope(connection, DICTIONARY, target=target, shown=(), modalities=(), cohort=None) as scope:
        assert isinstance(scope, Scope)
        return {code: reach.finds for reach in state_reach(scope) for code in reach.codes}


def test_what_every_check_can_find_is_stated(clean: duckdb.DuckDBPyConnection) -> None:
    documented = re.findall(r"^\| `([a-z-]+)` \|", DOCS.read_text(encoding="utf-8"), re.MULTILINE)
    told = state(clean)
    assert sorted(told) == sorted(documented)
    assert all(told.values())


def test_what_is_stated_follows_from_the_size(clean: duckdb.DuckDBPyConnection) -> None:
    whole = state(clean)
    assert re.search(r"from 0\.\d+ standard deviations in val, .* in test", whole["split-shift"])
    assert re.search(r"shares at least \d+ of the \d+ measurements", whole["copied-participants"])
    assert whole["relatives-in-two-splits"] == "nothing: no kinship table was read"
    clean.execute("DELETE FROM sample WHERE row >= 40")
    few = state(clean)
    for code in ("split-shift", "class-imbalance"):
        assert few[code].startswith("nothing"), few[code]


@pytest.mark.parametrize("target", ["age", "sex"])
def test_a_run_s_checks_are_stated_too(target: str, clean: duckdb.DuckDBPyConnection) -> None:
    assert state(clean, target)["copied-participants"].startswith("nothing")
