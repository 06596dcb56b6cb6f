"""A run's progress and metrics as text and tables for people."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mmbase.plain_table import PlainTable, plain_table
from mmtrain.config.data import TargetConfig
from mmtrain.diagnostic import WiringVerdict
from mmtrain.metrics.registry import is_main, label_of


def main_scores(entry: Mapping[str, Any]) -> dict[str, float]:
    """Return the main validation metrics of an epoch; with several targets a name has its target's in front.

    >>> main_scores({"val": {"age.r2": 0.5, "sex.auc": None, "sex.f1": 0.25}})
    {'age.r2': 0.5}
    """
    scores = entry["val"].items()
    return {name: value for name, value in scores if is_main(name.rpartition(".")[2]) and value is not None}


def epoch_line(entry: Mapping[str, Any]) -> str:
    """Return one line about an epoch."""
    measured = "  ".join(f"{name} {value:.3f}" for name, value in main_scores(entry).items())
    return (
        f"epoch {entry['epoch']:>3}  train loss {entry['train_loss']:.4f}  val loss {entry['val_loss']:.4f}  "
        f"{measured}  {entry['samples_per_second']:.1f} samples/s, {entry['wait_share']:.1%} waiting"
    )


def metrics_table(metrics: Mapping[str, Any], targets: Sequence[TargetConfig]) -> PlainTable:
    """Show the main validation and test metrics of a finished run with their intervals, target by target."""
    clamped = ", clamped labels" if metrics.get("clamped_labels") else ""
    title = f"{metrics['target']} from {', '.join(metrics['inputs'])}{clamped}"
    if metrics.get("diagnostic"):
        title = f"diagnostic, no result: {title}"
    rows: list[tuple[str, str, str]] = []
    for target in targets:
        of_target = metrics["targets"][target.name] if "targets" in metrics else metrics
        if "targets" in metrics:
            rows.append((target.name, "", ""))
        rows.append(("n", str(of_target["n"]["val"]), str(of_target["n"]["test"])))
        for name in filter(is_main, of_target["test"]):
            val, test = (value_with_interval(of_target, split, name) for split in ("val", "test"))
            rows.append((label_of(name, target.unit), val, test))
    return plain_table((title, "validation (95 % interval)", "test (95 % interval)"), rows)


def value_with_interval(of_target: Mapping[str, Any], split: str, name: str) -> str:
    """Return a metric as people read it; empty where it is not defined.

    Parameters
    ----------
    of_target
        What metrics.json says of one target; runs of older versions have no intervals.

    Examples
    --------
    >>> value_with_interval({"test": {"auc": 0.91}, "intervals": {"test": {"auc": [0.88, 0.94]}}}, "test", "auc")
    '0.910 (0.880 to 0.940)'
    >>> value_with_interval({"test": {"mae": 3.5}}, "test", "mae"), value_with_interval({"test": {}}, "test", "mae")
    ('3.500', '')
    """
    value = of_target[split].get(name)
    if value is None:
        return ""
    interval = of_target.get("intervals", {}).get(split, {}).get(name)
    return f"{value:.3f}" + (f" ({interval[0]:.3f} to {interval[1]:.3f})" if interval else "")


def wiring_lines(verdicts: Sequence[WiringVerdict]) -> Iterator[str]:
    """Say of each target of a wiring check whether its label was found; nothing of other runs."""
    if verdicts:
        yield "The inputs were the labels: this run is no result, and it is not entered into the catalogue."
    for verdict in verdicts:
        found = "was found" if verdict.ok else "was NOT found"
        yield f"{verdict.target} {found}: {verdict.metric} {verdict.got:.4f}, expected at least {verdict.expected:g}"
