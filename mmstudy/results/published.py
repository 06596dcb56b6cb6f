"""The results of runs in the 23 columns of the published table, for scripts that read that one.

Its "weighted" precision, recall and F1 are macro averages, its AUC is the micro average over both classes, and of a
continuous target they are those of a split at the training median. r2, r and MAE of a binary target are 0.
"""

import csv
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from io import StringIO

from catalog.fields import REFERENCE_BLOCKS, Dictionary
from mmbase.names import CONNECTIVITY, METADATA
from mmstudy.results.read import RunResult

HEADER = (
    *("", "Mode", "Target", "Inputs", "Balanced accuracy", "Weighted precision", "Weighted recall", "Weighted F1"),
    *("AUC", "Training time (mins)", "Loss", "r2", "r", "MAE", "Metadata", "Constitutional", "Serology", "Psychology"),
    *("Disease", "T1", "FLAIR", "DWI", "rsfMRI connectivity", "Domain"),
)
"""The first is a row's number."""
_TARGETS = {
    "sex": "Sex (Male)",
    "handedness": "Handedness (Rt)",
    "hba1c": "HbA1c",
    **{name: name for name in ("Hb", "HDL", "LDL")},
}
"""Names that are not simply written with spaces and capitals."""
DECIDED_METRICS = ("balanced_accuracy", "macro_precision", "macro_recall", "macro_f1", "micro_auc")
"""In the order of the columns; of a continuous target those of the median split."""
BLOCK_COLUMNS = {name.capitalize(): name for name in ("constitutional", "serology", "psychology", "disease")}
INPUT_COLUMNS = {"T1": "t1", "FLAIR": "flair", "DWI": "dwi", "rsfMRI connectivity": CONNECTIVITY}
"""Columns that say Yes or No, in their order."""
_INPUTS_IN_WORDS = {CONNECTIVITY: "rsfMRI Connectivity", "dwi": "DWI", "flair": "FLAIR", "t1": "T1"}
"""In the order of the column Inputs."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PublishedRow:
    """What a line of the table says; None where it is not known."""

    target: str
    """By its own name."""
    domain: str
    inputs: Sequence[str]
    blocks: Sequence[str]
    """Groups of features that the model saw."""
    decided: Sequence[float | None]
    """Balanced accuracy, macro precision, recall and F1, and micro AUC."""
    minutes: float | None
    loss: float | None
    values: Sequence[float | None] | None
    """R², r and MAE; None of a binary target."""

    def cells(self) -> list[str]:
        """Return the text of each column behind the row's number."""
        return [
            "Test",
            published_target(self.target),
            inputs_in_words(self.inputs, self.blocks),
            *map(_number, self.decided),
            _number(self.minutes),
            _number(self.loss),
            *(["0"] * 3 if self.values is None else map(_number, self.values)),
            _yes_no(METADATA in self.inputs),
            *(_yes_no(block in self.blocks) for block in BLOCK_COLUMNS.values()),
            *(_yes_no(name in self.inputs) for name in INPUT_COLUMNS.values()),
            self.domain.capitalize(),
        ]


def published_csv(results: Sequence[RunResult], dictionary: Dictionary) -> str:
    """Return a table as text, its lines in the order of the results; what a run does not have is empty."""
    return published_text(_row_of(result, dictionary) for result in results)


def published_text(rows: Iterable[PublishedRow]) -> str:
    """Return a table as text."""
    text = StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(HEADER)
    writer.writerows([number, *row.cells()] for number, row in enumerate(rows))
    return text.getvalue()


def _row_of(result: RunResult, dictionary: Dictionary) -> PublishedRow:
    data, metrics = result.config.data, result.metrics.get("test", {})
    is_binary = result.kind == "classification"
    split = "" if is_binary else "median_split_"
    values = {name: measured.value for name, measured in metrics.items()}
    return PublishedRow(
        target=result.target,
        domain=dictionary[result.target].block if result.target in dictionary else "",
        inputs=data.inputs,
        blocks=shown_blocks(result, dictionary),
        decided=[values.get(split + name) for name in DECIDED_METRICS],
        minutes=result.minutes,
        loss=result.losses.get("test") if len(data.targets) == 1 else None,
        values=None if is_binary else [values.get(name) for name in ("r2", "r", "mae")],
    )


def published_target(name: str) -> str:
    """Return a target's name as the published table writes it.

    >>> [published_target(name) for name in ("sex", "mood_swings", "LDL", "grip")]
    ['Sex (Male)', 'Mood Swings', 'LDL', 'Grip']
    """
    return _TARGETS.get(name) or " ".join(word[:1].upper() + word[1:] for word in name.split("_"))


def shown_blocks(result: RunResult, dictionary: Dictionary) -> list[str]:
    """Return the groups of features that the model saw: those asked for, less the target's own unless it was kept."""
    data = result.config.data
    own = {dictionary[target.name].block for target in data.targets if target.name in dictionary}
    return [block for block in data.metadata_blocks if data.keep_own_block or block not in own]


def inputs_in_words(inputs: Sequence[str], blocks: Sequence[str]) -> str:
    """Return what a model is given as the published table writes it.

    >>> inputs_in_words(["flair", "t1", "metadata"], ["serology", "constitutional"])
    'FLAIR + T1 + Non-imaging data (C + S)'
    """
    return " + ".join(_words(inputs, blocks))


def _words(inputs: Sequence[str], blocks: Sequence[str]) -> Iterator[str]:
    yield from (word for name, word in _INPUTS_IN_WORDS.items() if name in inputs)
    yield from (name.upper() for name in inputs if name not in (*_INPUTS_IN_WORDS, METADATA))
    if METADATA in inputs:
        letters = sorted(block[0].upper() if block in REFERENCE_BLOCKS else block for block in blocks)
        yield f"Non-imaging data ({' + '.join(letters)})"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.10g}"


def _yes_no(is_so: bool) -> str:
    return "Yes" if is_so else "No"
