import json
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import mmstudy.audit
import mmstudy.audit_answers
from catalog.audit.findings import Finding
from catalog.audit.scans import SimilarScans, record_similar_scans
from catalog.database import open_catalog
from catalog.runs import enter_run
from mmbase.lock import hold_lock
from mmdata.errors import StudyError
from mmdata.ledger.receipt_kinds import CopyReceipt, WithdrawalReceipt
from mmdata.ledger.receipts import COPY_RECEIPTS, WITHDRAWAL_RECEIPTS, append_receipts
from mmdata.store.schema import StudyLayout
from mmdata.study import Study, load_study
from mmstudy.audit import findings_for_run
from mmstudy.audit_answers import count_answers, forget_answers, keep_answer, read_answer
from mmstudy.dictionary import study_dictionary
from mmstudy.withdraw import run_withdrawal

FINDING = Finding(
    code="similar-scans",
    severity="warning",
    subject="t1",
    message="e.g. samples abc and def (µ)",
    remedy="Look.",
    num_samples=2,
    numbers={"pairs": 1, "least": 0.1 + 0.2, "example": "abc and def"},
)
QUESTION = {"target": "age", "modalities": ["t1"]}


@contextmanager
def silent(_: str) -> Iterator[Callable[[int, int], None]]:
    yield lambda done, total: None


@pytest.fixture
def own_study(study: Path, tmp_path: Path) -> Study:
    """A copy of the study that a test may change."""
    return load_study(Path(shutil.copytree(study, tmp_path / "study")))


@pytest.fixture
def layout(tmp_path: Path) -> StudyLayout:
    """A study of which nothing is there but its receipts."""
    (tmp_path / "receipts").mkdir()
    return StudyLayout(tmp_path)


@pytest.fixture
def audits(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The target of every audit that is worked out from now on."""
    asked: list[str] = []
    audit = mmstudy.audit._audit

    def watched(study: Study, catalog: Any, dictionary: Any, **question: Any) -> list[Finding]:
        asked.append(question["target"])
        return audit(study, catalog, dictionary, **question)

    monkeypatch.setattr(mmstudy.audit, "_audit", watched)
    return asked


def ask(study: Study, **changes: Any) -> list[Finding]:
    """Ask as a run of age from T1 volumes does."""
    dictionary = changes.pop("dictionary", study_dictionary(study))
    with open_catalog(study.layout.catalog) as catalog:
        question = {"target": "age", "shown": ["sex"], "modalities": ["t1"], "cohort": cohort(catalog)}
        return findings_for_run(study, catalog, dictionary, **question | changes)


def cohort(catalog: Any) -> pl.DataFrame:
    rows = catalog.execute("SELECT sample_id, split FROM splits ORDER BY sample_id").fetchall()
    return pl.DataFrame(rows, schema=["sample_id", "split"], orient="row")


def write(study: Study, sql: str) -> None:
    with open_catalog(study.layout.catalog, writable=True) as catalog:
        catalog.execute(sql)


def two_samples(study: Study) -> tuple[int, str, str]:
    """Return the eid and sample id of somebody with a T1 scan, and another's sample id."""
    with open_catalog(study.layout.catalog) as catalog:
        found = catalog.execute(
            "SELECT eid, sample_id FROM samples JOIN scans USING (sample_id) WHERE modality = 't1' "
            "AND status = 'stored' QUALIFY count(*) OVER (PARTITION BY eid) = 1 ORDER BY row LIMIT 2"
        ).fetchall()
    return found[0][0], found[0][1], found[1][1]


def test_a_question_is_answered_once_while_nothing_changes(own_study: Study, audits: list[str]) -> None:
    first = ask(own_study)
    assert first and audits == ["age"]
    assert ask(own_study) == first
    assert audits == ["age"]


def test_a_run_that_is_entered_asks_nothing_anew(own_study: Study, audits: list[str]) -> None:
    ask(own_study)
    run = own_study.layout.runs / "age_1"
    run.mkdir()
    n = {"train": 8, "val": 2, "test": 2}
    metrics = {"target": "age", "kind": "regression", "inputs": ["t1"], "n": n, "val": {"mae": 1}, "test": {"mae": 1}}
    (run / "metrics.json").write_text(json.dumps(metrics))
    enter_run(own_study.layout.catalog, run)
    ask(own_study)
    write(own_study, "UPDATE metric SET value = 2")
    ask(own_study)
    assert audits == ["age"]


OTHER_QUESTIONS: dict[str, Callable[[Study], dict[str, Any]]] = {
    "target": lambda study: {"target": "weight"},
    "shown": lambda study: {"shown": ["sex", "weight"]},
    "modalities": lambda study: {"modalities": ["t1", "flair"]},
    "no cohort": lambda study: {"cohort": None},
    "definition": lambda study: {
        "dictionary": {
            name: replace(entry, plausible=(1.0, 2.0)) if name == "age" else entry
            for name, entry in study_dictionary(study).items()
        }
    },
}


@pytest.mark.parametrize("change", OTHER_QUESTIONS.values(), ids=OTHER_QUESTIONS)
def test_another_question_is_answered_for_itself(
    change: Callable[[Study], dict[str, Any]], own_study: Study, audits: list[str]
) -> None:
    ask(own_study)
    ask(own_study, **change(own_study))
    assert len(audits) == 2
    ask(own_study)
    assert len(audits) == 2


def test_one_sample_in_another_split_is_another_question(own_study: Study, audits: list[str]) -> None:
    ask(own_study)
    with open_catalog(own_study.layout.catalog) as catalog:
        frame = cohort(catalog)
    moved = pl.when(pl.int_range(pl.len()) == 3).then(pl.lit("other")).otherwise("split").alias("split")
    ask(own_study, cohort=frame.with_columns(moved))
    ask(own_study, cohort=frame[:-1])
    assert len(audits) == 3


CHANGES = {
    "value": "UPDATE feature SET value = value + 1 WHERE row = 3 AND name = 'age'",
    "value of a judge": "INSERT INTO feature (row, name, value) VALUES (3, 'head_motion', 1.5)",
    "value gone": "DELETE FROM feature WHERE row = 3 AND name = 'sex'",
    "split": "UPDATE sample SET split = CASE split WHEN 'train' THEN 'test' ELSE 'train' END WHERE row = 3",
    "scan": "UPDATE scan_outcome SET status = 'rejected', reason = 'other' WHERE rowid = 0",
    "kinship": "INSERT INTO kinship SELECT min(participant_key), max(participant_key), 0.25 FROM sample",
    "similar scans": "INSERT INTO similar_scan SELECT min(sample_id), max(sample_id), 't1', 0.99 FROM sample",
    "hidden participant": "INSERT INTO withdrawn SELECT min(participant_key) FROM samples",
    "table": "UPDATE feature_table SET num_imaged = num_imaged + 1",
}


@pytest.mark.parametrize("sql", CHANGES.values(), ids=CHANGES)
def test_every_change_of_the_catalogue_asks_anew(sql: str, own_study: Study, audits: list[str]) -> None:
    with open_catalog(own_study.layout.catalog) as catalog:
        same_cohort = cohort(catalog)
    ask(own_study, cohort=same_cohort)
    write(own_study, "SELECT 1")  # a writer that changes nothing
    ask(own_study, cohort=same_cohort)
    assert len(audits) == 1
    write(own_study, sql)
    ask(own_study, cohort=same_cohort)
    assert len(audits) == 2


def test_every_change_of_the_receipts_or_of_the_program_asks_anew(
    own_study: Study, audits: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    receipts = own_study.layout.receipts
    ask(own_study)
    append_receipts(receipts / COPY_RECEIPTS, [CopyReceipt(modality="t1", side=32, copy=1, rows=[0])])
    ask(own_study)
    append_receipts(receipts / WITHDRAWAL_RECEIPTS, [WithdrawalReceipt(participant_key="k" * 16)])
    ask(own_study)
    monkeypatch.setattr(mmstudy.audit, "_code_digest", lambda: "of a newer mm")
    ask(own_study)
    assert len(audits) == 4
    ask(own_study)
    assert len(audits) == 4


def test_a_withdrawal_removes_every_answer_whoever_it_names(own_study: Study) -> None:
    eid, name, other = two_samples(own_study)
    with open_catalog(own_study.layout.catalog, writable=True) as catalog:
        record_similar_scans(catalog, "t1", [SimilarScans(name, other, 0.99)])
    assert any(name in str(finding.numbers) for finding in ask(own_study))
    root = own_study.layout.root

    def named() -> list[str]:
        files = [path for path in root.rglob("*") if path.is_file()]
        return [path.relative_to(root).parts[0] for path in files if name.encode() in path.read_bytes()]

    assert "audits" in named()
    withdrawals = root.parent / "withdrawals.csv"
    withdrawals.write_text(f"{eid}\n")
    assert run_withdrawal(own_study, [withdrawals], silent, lambda _: True).places["audits"] == 1
    assert named() == [] and not own_study.layout.audits.exists()
    ask(own_study)
    assert named() == [] and count_answers(own_study.layout) == 1


def test_an_answer_about_people_who_have_withdrawn_meanwhile_is_not_kept(own_study: Study) -> None:
    tombstone = WithdrawalReceipt(participant_key="k" * 16, rows=[0])
    append_receipts(own_study.layout.receipts / WITHDRAWAL_RECEIPTS, [tombstone])
    assert ask(own_study)
    assert count_answers(own_study.layout) == 0


def test_what_is_read_is_what_was_kept(layout: StudyLayout) -> None:
    assert read_answer(layout, QUESTION) is None
    keep_answer(layout, QUESTION, [FINDING], [])
    assert read_answer(layout, QUESTION) == [FINDING]
    assert read_answer(layout, QUESTION | {"target": "sex"}) is None
    keep_answer(layout, QUESTION, [], [])
    assert read_answer(layout, QUESTION) == []


def test_an_answer_can_be_read_by_its_owner_alone(layout: StudyLayout) -> None:
    keep_answer(layout, QUESTION, [FINDING], [])
    [path] = layout.audits.iterdir()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(layout.audits.stat().st_mode) == 0o700


@pytest.mark.parametrize("content", ["", "{", "[]", '{"findings": [{"code": "x"}]}'])
def test_a_damaged_answer_is_none(layout: StudyLayout, content: str) -> None:
    keep_answer(layout, QUESTION, [FINDING], [])
    [path] = layout.audits.iterdir()
    path.write_text(content)
    assert read_answer(layout, QUESTION) is None


def test_an_answer_that_cannot_be_kept_does_no_harm(layout: StudyLayout) -> None:
    layout.audits.write_text("in the way")
    keep_answer(layout, QUESTION, [FINDING], [])
    assert read_answer(layout, QUESTION) is None


def test_the_oldest_answers_give_way(layout: StudyLayout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mmstudy.audit_answers, "MAX_ANSWERS", 3)
    for number in range(5):
        keep_answer(layout, {"number": number}, [], [])
    assert count_answers(layout) == 3
    assert [read_answer(layout, {"number": number}) for number in range(5)] == [None, None, [], [], []]


def test_whoever_keeps_an_answer_and_whoever_forgets_them_take_turns(
    layout: StudyLayout, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("_KEEP_WAIT_SECONDS", "_FORGET_WAIT_SECONDS"):
        monkeypatch.setattr(mmstudy.audit_answers, name, 0.0)
    with hold_lock(layout.root / "audits.lock"):
        keep_answer(layout, QUESTION, [FINDING], [])
        with pytest.raises(StudyError, match=r"holds audits\.lock\. Wait"):
            forget_answers(layout)
    assert read_answer(layout, QUESTION) is None
    forget_answers(layout)
    keep_answer(layout, QUESTION, [FINDING], [])
    forget_answers(layout)
    assert not layout.audits.exists()
