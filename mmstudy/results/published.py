"""The results of runs in the 23 columns of the published table, for scripts that read that one.

Its "weighted" precision, recall and F1 are macro averages, its AUC is the micro average over both classes, and of a
continuous target they are those of a split at the training median. r2, r and MAE of a binary target are 0.
"""

import csv
from collections.abc import Iterator, Sequence
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
_CLASS_METRICS = ("balanced_accuracy", "macro_precision", "macro_recall", "macro_f1", "micro_auc")
_BLOCKS = ("constitutional", "serology", "psychology", "disease")
_INPUTS = ("t1", "flair", "dwi", CONNECTIVITY)
"""In the order of the columns."""
_INPUTS_IN_WORDS = {CONNECTIVITY: "rsfMRI Connectivity", "dwi": "DWI", "flair": "FLAIR", "t1": "T1"}
"""In the order of the column Inputs."""


def published_csv(results: Sequence[RunResult], dictionary: Dictionary) -> str:
    """Return a table as text, its lines in the order of the results; what a run does not have is empty."""
    text = StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(HEADER)
    for number, result in enumerate(results):
        writer.writerow([number, *published_row(result, dictionary)])
    return text.getvalue()


def published_row(result: RunResult, dictionary: Dictionary) -> list[str]:
    """Return the cells of a result behind the row's number."""
    data, metrics = result.config.data, result.metrics.get("test", {})
    blocks = shown_blocks(result, dictionary)
    is_binary = result.kind == "classification"
    split = "" if is_binary else "median_split_"
    values = {name: measured.value for name, measured in metrics.items()}
    return [
        "Test",
        published_target(result.target),
        inputs_in_words(data.inputs, blocks),
        *(_number(values.get(split + name)) for name in _CLASS_METRICS),
        _number(result.minutes),
        _number(result.losses.get("test")) if len(data.targets) == 1 else "",
        *("0" if is_binary else _number(values.get(name)) for name in ("r2", "r", "mae")),
        _yes_no(METADATA in data.inputs),
        *(_yes_no(block in blocks) for block in _BLOCKS),
        *(_yes_no(name in data.inputs) for name in _INPUTS),
        dictionary[result.target].block.capitalize() if result.target in dictionary else "",
    ]


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
