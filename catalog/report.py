"""What a catalogue holds as tables for people."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from catalog.export.bins import as_date
from catalog.summary import CatalogSummary
from catalog.targets import FeatureSummary
from mmbase.names import SPLITS
from mmbase.plain_table import PlainTable, plain_table

if TYPE_CHECKING:  # what is told of a study needs no tables
    from catalog.export.group_counts import GroupTable

SUPPRESSED = "*"
SUPPRESSED_NOTE = (
    f"{SUPPRESSED} fewer than 10 participants, or hidden so that such a number cannot be worked out from the others."
)
_BLOCKS = " ▁▂▃▄▅▆▇█"
_MAIN_METRICS = {"regression": ("mae", "r2"), "classification": ("auc", "balanced_accuracy")}
"""Kind of target to the metrics that a line is enough for; where a run has none of them, all that it has are shown."""


def scan_table(summary: CatalogSummary) -> PlainTable:
    """Show how many scans of each modality are stored, rejected (why) and absent."""
    statuses = ("stored", "rejected", "absent")
    rows = []
    for modality, counts in summary.scans.items():
        reasons = ", ".join(f"{number} {reason}" for reason, number in summary.rejected.get(modality, {}).items())
        rows.append((modality, *(str(counts[status]) for status in statuses), reasons))
    return plain_table(("modality", *statuses, "reasons"), rows, whole=["modality", *statuses])


def run_table(runs: Sequence[Mapping[str, Any]]) -> PlainTable:
    """Show every run and target with its main metrics."""
    rows = []
    for run in runs:
        numbers = "/".join(str(run.get(f"n_{split}", "")) for split in SPLITS)
        numbers += f", {run['withdrawn']} withdrawn since" if run.get("withdrawn") else ""
        rows.append((run["run_id"], run["target"], numbers, _main_metrics(run, "val"), _main_metrics(run, "test")))
    return plain_table(("run", "target", "n", "validation", "test"), rows, whole=["run"])


def feature_table(features: Sequence[FeatureSummary]) -> PlainTable:
    """Show what each feature is like, a line each."""
    titles = ("feature", "kind", "block", "n", "missing", "typical", "distribution", "days from scan", "unit")
    rows = [
        (
            feature.name,
            feature.kind,
            feature.block,
            str(feature.n),
            f"{100 * feature.missing:.1f} %",
            typical_value(feature),
            _bars(feature.counts),
            "" if feature.days_from_scan is None else f"{feature.days_from_scan:.0f}",
            feature.unit,
        )
        for feature in features
    ]
    return plain_table(
        titles,
        rows,
        whole=["feature", "block"],
        right=["n", "missing", "days from scan"],
        spared=["unit", "days from scan", "distribution", "typical", "missing"],
    )


def typical_value(feature: FeatureSummary) -> str:
    """Return what a value of a feature is like: mean ± sd, share of ones, number of values, or median date."""
    if feature.kind == "continuous":
        return _with_spread(feature.mean, feature.sd)
    if feature.kind == "binary":
        return f"{_short(100 * feature.counts[1] / feature.n)} % 1" if feature.n else ""
    if feature.kind == "date":
        return str(as_date(feature.percentiles[50])) if feature.percentiles else ""
    return f"{feature.num_distinct} values"


def row_table(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> PlainTable:
    """Show rows of a query."""
    return plain_table(columns, [["" if value is None else str(value) for value in row] for row in rows])


def group_table(counted: "Sequence[GroupTable]") -> PlainTable:
    """Show counts of features by the same groups, one below the other, and means with standard deviations."""
    groups = [f"{counted[0].by} {group}".strip() or "participants" for group in counted[0].groups] if counted else []
    rows: list[tuple[str, ...]] = []
    for of_feature in counted:
        names = [of_feature.feature] + [""] * len(of_feature.values)
        for name, value, counts in zip(names, of_feature.values, of_feature.counts_RC, strict=False):
            rows.append((name, value, *(SUPPRESSED if count is None else str(count) for count in counts)))
        if of_feature.is_measured:
            moments = zip(of_feature.means_C, of_feature.sds_C, strict=True)
            rows.append(("", "mean ± sd", *(_with_spread(mean, sd) or SUPPRESSED for mean, sd in moments)))
    return plain_table(("feature", "value", *groups), rows, whole=["feature", "value"], right=groups)


def _with_spread(mean: float | None, sd: float | None) -> str:
    return "" if mean is None else _short(mean) + ("" if sd is None else f" ± {_short(sd)}")


def _short(number: float) -> str:
    """Return a number with three digits, or with all it has before the point."""
    return f"{number:.0f}" if abs(number) >= 100 else f"{number:#.3g}"


def _bars(counts: Sequence[int]) -> str:
    """Draw counts as bars; one that is not empty can be seen."""
    most = max(counts, default=0)
    return "".join(_BLOCKS[-(-count * (len(_BLOCKS) - 1) // most)] if most else " " for count in counts)


def _main_metrics(run: Mapping[str, Any], split: str) -> str:
    prefix = f"{split}_"
    measured = {key.removeprefix(prefix): value for key, value in run.items() if key.startswith(prefix)}
    main = [name for name in _MAIN_METRICS.get(run["kind"], ()) if name in measured]
    return ", ".join(f"{name} {measured[name]:.3f}" for name in main or measured)
