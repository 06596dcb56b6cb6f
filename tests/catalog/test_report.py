from dataclasses import replace
from io import StringIO

import pytest
from rich.console import Console, RenderableType

from catalog.export.group_counts import GroupTable
from catalog.report import SUPPRESSED, feature_table, group_table, row_table, run_table, typical_value
from catalog.targets import FeatureSummary

FEATURE = FeatureSummary(
    name="age",
    kind="continuous",
    unit="years [at the scan]",
    block="constitutional",
    is_target=True,
    fields=(21003,),
    n=90,
    missing=0.1,
    mean=63.0,
    sd=7.456,
    percentiles={50: 63.0},
    edges=(40.0, 50.0, 60.0, 70.0),
    values=(),
    counts=(1, 0, 100),
    num_distinct=None,
    days_from_scan=12.0,
    splits={},
)


def shown(table: RenderableType) -> list[str]:
    """Return the lines of a table as a wide page shows them."""
    page = StringIO()
    Console(file=page, width=160, highlight=False, markup=False).print(table)
    return [line.rstrip() for line in page.getvalue().splitlines()]


def words(table: RenderableType) -> list[str]:
    """Return the lines of a table with one space between words."""
    return [" ".join(line.split()) for line in shown(table)]


def test_a_feature_is_shown_in_one_line() -> None:
    assert words(feature_table([FEATURE])) == [
        "feature kind block n missing typical distribution days from scan unit",
        "age continuous constitutional 90 10.0 % 63.0 ± 7.46 ▁ █ 12 years [at the scan]",
    ]


@pytest.mark.parametrize(
    ("changes", "typical"),
    [
        ({"mean": 1234.6, "sd": 0.01234}, "1235 ± 0.0123"),
        ({"sd": None}, "63.0"),
        ({"mean": None, "sd": None}, ""),
        ({"kind": "binary", "counts": (62, 28)}, "31.1 % 1"),
        ({"kind": "binary", "counts": (0, 0), "n": 0}, ""),
        ({"kind": "categorical", "num_distinct": 4}, "4 values"),
        ({"kind": "date", "percentiles": {50: 17000.5}}, "2016-07-18"),
        ({"kind": "date", "percentiles": {}}, ""),
    ],
)
def test_a_typical_value_is_what_the_kind_has(changes: dict[str, object], typical: str) -> None:
    assert typical_value(replace(FEATURE, **changes)) == typical


def test_a_feature_without_values_has_no_bars() -> None:
    empty = replace(FEATURE, n=0, missing=1.0, mean=None, sd=None, counts=(0, 0), days_from_scan=None)
    assert words(feature_table([empty]))[1] == "age continuous constitutional 0 100.0 % years [at the scan]"


def test_rows_are_shown_as_they_are() -> None:
    assert shown(row_table(["a", "[b]"], [(None, 1.5), ("[red]x", 2)])) == ["a       [b]", "        1.5", "[red]x  2"]


def test_hidden_counts_are_marked() -> None:
    table = GroupTable(
        feature="age",
        unit="years",
        by="sex",
        values=("< 50", "missing"),
        groups=("0", "1"),
        counts_RC=((20, None), (30, None)),
        is_measured=True,
        means_C=(47.1, None),
        sds_C=(2.0, None),
    )
    assert words(group_table([table])) == [
        "feature value sex 0 sex 1",
        f"age < 50 20 {SUPPRESSED}",
        f"missing 30 {SUPPRESSED}",
        f"mean ± sd 47.1 ± 2.00 {SUPPRESSED}",
    ]
    alone = replace(table, by="", groups=("",), counts_RC=((20,), (30,)), is_measured=False, means_C=(), sds_C=())
    assert words(group_table([alone]))[0] == "feature value participants"


def test_a_run_is_shown_with_its_main_metrics_or_with_whatever_it_has() -> None:
    run = {"run_id": "r", "target": "age", "kind": "regression", "n_train": 8, "n_val": 2, "n_test": 3}
    measured = {"val_mae": 3.5, "val_r2": 0.25, "val_r": 0.5, "val_pinball": 1.0, "test_r2": 0.125}
    assert words(run_table([run | measured, run, run | {"kind": "ordinal", "val_kappa": 0.5, "test_mae": 2.0}])) == [
        "run target n validation test",
        "r age 8/2/3 mae 3.500, r2 0.250 r2 0.125",
        "r age 8/2/3",
        "r age 8/2/3 kappa 0.500 mae 2.000",
    ]
    assert words(run_table([run | {"withdrawn": 2}]))[1] == "r age 8/2/3, 2 withdrawn since"
