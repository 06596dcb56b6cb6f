"""Answers of audits, kept beside the study, so that the same question about the same study is worked out once.

Terms
-----
question   everything that the answer depends on, as plain values; it changes when any of them does.
answer     the findings.

An answer may name samples. So a withdrawal removes all of them, and an answer about people who have withdrawn while it
was worked out is not kept. Nothing is lost with an answer but the time to work it out.
"""

import contextlib
import hashlib
import json
import shutil
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from catalog.audit.findings import Finding
from mmbase.files import write_json
from mmbase.json_text import DamagedTextError, read_json
from mmbase.lock import LockHeldError, NoLocksError, hold_lock
from mmdata.errors import StudyError
from mmdata.ledger.tombstones import read_retired_rows
from mmdata.store.schema import StudyLayout

MAX_ANSWERS = 1000
"""More than the questions of a sweep over the reference study's 700 models; some kilobytes each."""
_KEEP_WAIT_SECONDS, _FORGET_WAIT_SECONDS = 1.0, 60.0


@dataclass(frozen=True, slots=True)
class _Answer:
    findings: list[Finding]


def read_answer(layout: StudyLayout, question: Mapping[str, Any]) -> list[Finding] | None:
    """Return the answer to a question; None where there is none that can be read."""
    try:
        return read_json(_answer_path(layout, question), _Answer).findings
    except (OSError, DamagedTextError):
        return None


def keep_answer(
    layout: StudyLayout, question: Mapping[str, Any], findings: Sequence[Finding], rows: Collection[int]
) -> None:
    """Keep an answer, in place of the oldest where there are many; without harm where it cannot be written.

    Parameters
    ----------
    rows
        Of the samples that it may name.
    """
    # The lock: either a withdrawal has put its rows on record, or it still has to come and remove this answer.
    with (
        contextlib.suppress(OSError, LockHeldError, NoLocksError),
        hold_lock(_lock(layout), wait_seconds=_KEEP_WAIT_SECONDS),
    ):
        if not read_retired_rows(layout.receipts).isdisjoint(rows):
            return
        layout.audits.mkdir(mode=0o700, exist_ok=True)
        write_json(_answer_path(layout, question), {"findings": [asdict(finding) for finding in findings]})
        kept = sorted(layout.audits.glob("*.json"), key=lambda path: path.stat().st_mtime_ns)
        for path in kept[:-MAX_ANSWERS]:
            path.unlink()


def count_answers(layout: StudyLayout) -> int:
    """Return how many files there are to forget."""
    return sum(path.is_file() for path in layout.audits.rglob("*"))


def forget_answers(layout: StudyLayout) -> None:
    """Remove every answer. The rows of whoever withdraws have to be on record before.

    Raises
    ------
    StudyError
        Another command does not let go of them.
    """
    try:
        with hold_lock(_lock(layout), wait_seconds=_FORGET_WAIT_SECONDS):
            if layout.audits.exists():
                shutil.rmtree(layout.audits)
    except LockHeldError as error:
        raise StudyError(
            f"Process {error.holder} holds {_lock(layout).name}. Wait for it to end, then try again."
        ) from error


def _answer_path(layout: StudyLayout, question: Mapping[str, Any]) -> Path:
    told = json.dumps(question, sort_keys=True).encode()
    return layout.audits / f"{hashlib.blake2b(told, digest_size=16).hexdigest()}.json"


def _lock(layout: StudyLayout) -> Path:
    return layout.audits.with_suffix(".lock")
