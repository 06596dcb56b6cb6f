import duckdb
import pytest

from catalog.audit.audit import audit_catalog
from catalog.audit.findings import Finding
from catalog.fields import load_dictionary

CODES = ("label-maps", "other-contrast")


def found(connection: duckdb.DuckDBPyConnection, *modalities: str) -> list[Finding]:
    findings = audit_catalog(connection, load_dictionary(), modalities=modalities)
    return [finding for finding in findings if finding.code in CODES]


def measure(connection: duckdb.DuckDBPyConnection, modality: str, where: str, **values: float) -> None:
    changes = ", ".join(f"{name} = {value}" for name, value in values.items())
    connection.execute(
        f"UPDATE scan_outcome SET {changes} FROM sample WHERE sample.sample_id = scan_outcome.sample_id "
        f"AND modality = '{modality}' AND {where}"
    )


def test_scans_without_the_measures_and_ordinary_ones_are_not_doubted(clean: duckdb.DuckDBPyConnection) -> None:
    assert found(clean) == []
    measure(clean, "t1", "true", white_over_grey=1.3, flat_share=0.02)
    measure(clean, "flair", "true", white_over_grey=0.9, flat_share=0.3)
    assert found(clean) == []


@pytest.mark.parametrize(
    ("modality", "name", "value", "code"),
    [
        ("t1", "flat_share", 0.9, "label-maps"),
        ("flair", "flat_share", 0.7, "label-maps"),
        ("t1", "white_over_grey", 0.8, "other-contrast"),
        ("flair", "white_over_grey", 1.3, "other-contrast"),
    ],
)
def test_scans_that_look_like_something_else_are_warned_about(
    clean: duckdb.DuckDBPyConnection, modality: str, name: str, value: float, code: str
) -> None:
    measure(clean, "t1", "true", white_over_grey=1.3, flat_share=0.02)
    measure(clean, modality, "row IN (3, 5)", **{name: value})
    (finding,) = found(clean)
    assert (finding.code, finding.severity, finding.subject, finding.num_samples) == (code, "warning", modality, 2)
    assert finding.numbers["scans"] == 2
    other = "flair" if modality == "t1" else "t1"
    assert found(clean, other) == [], "a run that does not read the modality"
    assert found(clean, modality)


def test_rejected_scans_are_not_doubted(clean: duckdb.DuckDBPyConnection) -> None:
    measure(clean, "t1", "row = 3", flat_share=0.9)
    clean.execute("UPDATE scan_outcome SET status = 'rejected' WHERE flat_share = 0.9")
    assert found(clean) == []
