"""What a refusal of a scan says that the ingest's own code rejects."""

import re
from pathlib import Path

import mmdata
from mmstudy.predict.remedies import REMEDIES
from mmstudy.predict.scans import rejection_fault

SOURCES = "".join(path.read_text() for path in Path(mmdata.__file__).parent.rglob("*.py"))
SAID_IN_DETAIL = {"not-skull-stripped", "identity-affine", "missing-transform", "outside-template"}
OF_SOURCE = {"not-in-template-space", "unusable", "unreadable", "unsafe-archive", "bad-table", "unexpected"}
"""The detail says what is wrong with the source, and there is no one thing to do about it."""


def test_a_rejected_scan_is_refused_with_what_to_do() -> None:
    fault = rejection_fault("t1", "truncated", "the gzip stream ends before its checksum")
    assert fault.text == "truncated (t1): the gzip stream ends before its checksum. Copy or download the file again."


def test_every_reason_to_reject_a_scan_has_a_remedy_and_no_other_has() -> None:
    reasons = set(re.findall(r'ScanRejected\(\s*"([a-z-]+)"', SOURCES))
    assert set(REMEDIES) == reasons - SAID_IN_DETAIL - OF_SOURCE
