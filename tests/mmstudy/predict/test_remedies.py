"""What a refusal of a scan says that the ingest's own code rejects."""

import re
from pathlib import Path

import mmdata
from mmbase.names import METADATA
from mmstudy.predict.inputs import find_faults
from mmstudy.predict.model_set import ModelSet
from mmstudy.predict.remedies import REMEDIES
from mmstudy.predict.scans import rejection_fault
from tests.mmstudy.predict.models import model

SOURCES = "".join(path.read_text() for path in Path(mmdata.__file__).parent.rglob("*.py"))
SAID_IN_DETAIL = {"not-skull-stripped", "identity-affine", "missing-transform", "outside-template"}
OF_SOURCE = {"not-in-template-space", "unusable", "unreadable", "unsafe-archive", "bad-table", "unexpected"}
"""The detail says what is wrong with the source, and there is no one thing to do about it."""


def test_a_rejected_scan_is_refused_with_what_to_do() -> None:
    fault = rejection_fault("t1", "truncated", "the gzip stream ends before its checksum")
    assert fault.text == "truncated (t1): the gzip stream ends before its checksum. Copy or download the file again."


def test_every_reason_that_is_written_out_where_a_scan_is_rejected_has_a_remedy_and_no_other_has() -> None:
    reasons = set(re.findall(r'ScanRejected\(\s*"([a-z-]+)"', SOURCES))
    assert set(REMEDIES) == reasons - SAID_IN_DETAIL - OF_SOURCE


def test_what_a_sample_lacks_is_told_with_what_was_expected_and_what_to_do() -> None:
    wanted = ModelSet((model("published", ("t1", METADATA), mean=None),)).wanted
    assert [fault.text for fault in find_faults(wanted, {METADATA}, {}, {})] == [
        "no t1: expected an input of the model, got none. Give it, or use a model that was trained without it.",
        "no weight: expected a value of this feature, got none. Give a table that has it.",
    ]
