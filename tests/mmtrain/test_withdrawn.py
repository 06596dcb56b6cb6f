import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from mmbase.checksums import find_changed, write_checked
from mmbase.files import write_bytes
from mmtrain.errors import TrainError
from mmtrain.run import RunDirectory, list_runs
from mmtrain.trunks.embeddings import Embeddings, Origin, write_embeddings
from mmtrain.withdrawn import WithdrawnSamples, count_withdrawn, forget_withdrawn, require_unmarked

SPLITS = ["train", "train", "val", "test", "train", "val", "test", "train"]
COHORT = pl.DataFrame(
    {
        "sample_id": [f"{row:016x}" for row in range(8)],
        "row": list(range(8)),
        "split": SPLITS,
        "target": [50.0 + row for row in range(8)],
        "feature_bmi": [None, *[25.0 + row for row in range(1, 8)]],
    },
    schema_overrides={"row": pl.Int64},
)
DATE = "2026-01-02"


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    """A finished run of eight samples, one of which the audit had named."""
    path = tmp_path / "runs" / "age_t1_1"
    path.mkdir(parents=True)
    run = RunDirectory(path)
    COHORT.write_parquet(run.cohort)
    held_out = COHORT.filter(pl.col("split") != "train")
    held_out.select("sample_id", "split", truth="target", prediction="target").write_parquet(run.predictions)
    run.config.write_text(json.dumps({"train": {}, "audit": [{"text": f"{3:016x} and {4:016x} look alike"}]}))
    run.metrics.write_text("{}")
    return run


def add_embeddings(run: RunDirectory, *rows: int) -> None:
    """Keep embeddings of rows, of which the run's own cohort need not have any."""
    embeddings = Embeddings(
        origin=Origin(weights="0", stores={"t1": {"side": 4}}),
        rows=np.array(rows, np.int64),
        values_ND=np.ones((len(rows), 3), np.float32),
        checksums_NM=np.ones((len(rows), 1), np.uint64),
    )
    write_embeddings(run.embeddings, embeddings)


def withdrawn(*rows: int, named: bool = True) -> WithdrawnSamples:
    return WithdrawnSamples(
        rows=frozenset(rows), sample_ids=frozenset(f"{row:016x}" for row in rows) if named else frozenset()
    )


def mark(run: RunDirectory) -> dict[str, object]:
    content: dict[str, object] = json.loads(run.withdrawn.read_text())
    return content


def state(run: RunDirectory) -> dict[str, tuple[bytes, int]]:
    return {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in run.path.iterdir()}


@pytest.mark.parametrize("named", [True, False])
def test_samples_go_from_the_cohort_and_the_predictions_and_the_others_stay(run: RunDirectory, named: bool) -> None:
    predictions = pl.read_parquet(run.predictions)
    forget_withdrawn(run, withdrawn(0, 3, 70, named=named), DATE)
    assert pl.read_parquet(run.cohort).equals(COHORT.filter(~pl.col("row").is_in([0, 3])))
    assert pl.read_parquet(run.predictions).equals(predictions.filter(pl.col("sample_id") != f"{3:016x}"))
    assert pl.read_parquet(run.cohort).schema == COHORT.schema


def test_a_withdrawn_person_goes_from_the_training_predictions_and_what_attacks_found_goes_with_them(
    run: RunDirectory,
) -> None:
    trained = COHORT.filter(split="train").select("sample_id", "split", truth="target", prediction="target")
    trained.write_parquet(run.training_predictions)
    run.privacy.write_text("{}")
    assert count_withdrawn(run, withdrawn(0, 3)) == {
        **{"config.json": 1, "cohort.parquet": 2, "predictions.parquet": 1},
        **{"training_predictions.parquet": 1, "privacy.json": 1},
    }
    forget_withdrawn(run, withdrawn(0, 3), DATE)
    assert pl.read_parquet(run.training_predictions).equals(trained.filter(pl.col("sample_id") != f"{0:016x}"))
    assert not run.privacy.exists()


def test_the_mark_says_how_many_of_how_many_and_not_who(run: RunDirectory) -> None:
    forget_withdrawn(run, withdrawn(0, 3), DATE)
    assert mark(run) == {
        "date": DATE,
        "cohort": {"train": 4, "val": 2, "test": 2},
        "withdrawn": {"train": 1, "val": 0, "test": 1},
    }
    forget_withdrawn(run, withdrawn(4), "2026-02-03")
    assert mark(run) == {
        "date": "2026-02-03",
        "cohort": {"train": 4, "val": 2, "test": 2},
        "withdrawn": {"train": 2, "val": 0, "test": 1},
    }
    assert f"{3:016x}" not in run.withdrawn.read_text()


def test_the_metrics_say_so_too_and_keep_all_else(run: RunDirectory) -> None:
    run.metrics.write_text(json.dumps({"target": "age", "test": {"mae": 3.5}}))
    forget_withdrawn(run, withdrawn(0, 3), DATE)
    assert json.loads(run.metrics.read_text()) == {
        "target": "age",
        "test": {"mae": 3.5},
        "withdrawn": {"train": 1, "val": 0, "test": 1},
    }
    run.metrics.write_text("{ damaged")
    forget_withdrawn(run, withdrawn(4), DATE)
    assert mark(run)["withdrawn"] == {"train": 2, "val": 0, "test": 1}


@pytest.mark.parametrize("content", ["{", "[]", "3", "[" * 100_000])
def test_damaged_metrics_stop_no_withdrawal(run: RunDirectory, content: str) -> None:
    run.metrics.write_text(content)
    forget_withdrawn(run, withdrawn(0), DATE)
    assert run.metrics.read_text() == content
    assert mark(run)["withdrawn"] == {"train": 1, "val": 0, "test": 0}
    assert 0 not in pl.read_parquet(run.cohort)["row"]


def test_changed_metrics_stay_known_as_changed(run: RunDirectory) -> None:
    write_checked(run.metrics, b'{"test": {"mae": 5.5}}')
    run.metrics.write_text('{"test": {"mae": 1.5}}')
    forget_withdrawn(run, withdrawn(0), DATE)
    assert find_changed(run.path) == [run.metrics.name]


def test_a_name_goes_from_what_the_audit_said(run: RunDirectory) -> None:
    forget_withdrawn(run, withdrawn(3), DATE)
    assert json.loads(run.config.read_text())["audit"] == [{"text": f"withdrawn and {4:016x} look alike"}]


@pytest.mark.parametrize("writes", range(6))
def test_a_kill_between_any_two_writes_changes_nothing_of_the_outcome(
    run: RunDirectory, writes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = [writes]

    def write_or_die(path: Path, content: bytes) -> None:
        if not left[0]:
            raise KeyboardInterrupt
        left[0] -= 1
        write_bytes(path, content)

    with monkeypatch.context() as patch:
        patch.setattr("mmtrain.withdrawn.write_bytes", write_or_die)
        patch.setattr("mmbase.files.write_bytes", write_or_die)
        patch.setattr("mmbase.checksums.write_bytes", write_or_die)
        if writes < 5:
            with pytest.raises(KeyboardInterrupt):
                forget_withdrawn(run, withdrawn(3, 4), DATE)
        else:
            forget_withdrawn(run, withdrawn(3, 4), DATE)
    forget_withdrawn(run, withdrawn(3, 4, named=False), DATE)
    assert mark(run)["withdrawn"] == {"train": 1, "val": 0, "test": 1}
    assert pl.read_parquet(run.cohort)["row"].to_list() == [0, 1, 2, 5, 6, 7]
    assert f"{3:016x}" not in pl.read_parquet(run.predictions)["sample_id"]
    assert f"{3:016x}" not in run.config.read_text()


def test_a_run_without_them_is_left_alone(run: RunDirectory) -> None:
    before = state(run)
    forget_withdrawn(run, withdrawn(70, 80), DATE)
    assert state(run) == before


def test_doing_it_again_writes_nothing(run: RunDirectory) -> None:
    forget_withdrawn(run, withdrawn(3), DATE)
    before = state(run)
    forget_withdrawn(run, withdrawn(3), "2027-01-01")
    assert state(run) == before


def test_what_a_run_has_of_them_is_counted(run: RunDirectory) -> None:
    before = state(run)
    assert count_withdrawn(run, withdrawn(0, 3)) == {"config.json": 1, "cohort.parquet": 2, "predictions.parquet": 1}
    assert state(run) == before
    forget_withdrawn(run, withdrawn(0, 3), DATE)
    assert set(count_withdrawn(run, withdrawn(0, 3)).values()) == {0}


def test_files_that_a_kill_tore_before_the_run_was_finished_go(run: RunDirectory) -> None:
    run.metrics.unlink()
    for path in (run.cohort, run.predictions):
        path.write_bytes(path.read_bytes()[:-20])
        path.with_name(path.name + ".tmp").write_bytes(b"half a file")
    assert count_withdrawn(run, withdrawn(3)) == {"config.json": 1}
    forget_withdrawn(run, withdrawn(3), DATE)
    assert [path.name for path in run.path.iterdir()] == ["config.json"]


@pytest.mark.parametrize("name", ["cohort", "predictions"])
def test_a_damaged_file_of_a_finished_run_is_named_with_what_to_do(run: RunDirectory, name: str) -> None:
    (run.path / f"{name}.parquet").write_bytes(b"no table")
    for look in (lambda: count_withdrawn(run, withdrawn(3)), lambda: forget_withdrawn(run, withdrawn(3), DATE)):
        with pytest.raises(
            TrainError, match=rf"{name}\.parquet of run age_t1_1 is damaged.*then run mm withdraw again"
        ):
            look()


def test_a_run_that_had_hardly_begun_has_nobody(tmp_path: Path) -> None:
    (tmp_path / "runs" / "new").mkdir(parents=True)
    (tmp_path / "runs" / "notes.txt").touch()
    (run,) = list_runs(tmp_path / "runs")
    assert set(count_withdrawn(run, withdrawn(1)).values()) == {0}
    forget_withdrawn(run, withdrawn(1), DATE)
    assert list_runs(tmp_path / "none") == []


def test_a_marked_run_may_not_be_resumed(run: RunDirectory) -> None:
    require_unmarked(run)
    forget_withdrawn(run, withdrawn(5), DATE)
    with pytest.raises(TrainError, match=r"Participants of run age_t1_1 have withdrawn.*Start it again"):
        require_unmarked(run)


def test_pages_and_pictures_go_with_a_participant_of_the_cohort_and_stay_otherwise(run: RunDirectory) -> None:
    run.plots.mkdir()
    shown = (run.report, run.internal_report, run.plots / "test.png", run.path / "report.html.tmp")
    for path in shown:
        path.write_text("of everybody")
    forget_withdrawn(run, withdrawn(70), DATE)
    assert all(path.exists() for path in shown) and "report.html" not in count_withdrawn(run, withdrawn(70))
    assert count_withdrawn(run, withdrawn(2))["plots"] == 1
    forget_withdrawn(run, withdrawn(2), DATE)
    assert not any(path.exists() for path in shown)


@pytest.mark.parametrize(
    "samples",
    [
        withdrawn(40),
        WithdrawnSamples(rows=[], sample_ids=[], duplicate_rows=[41]),
        withdrawn(1, 40),
    ],
)
def test_embeddings_go_with_whoever_is_among_them_also_of_rows_that_the_cohort_lacks(
    run: RunDirectory, samples: WithdrawnSamples
) -> None:
    add_embeddings(run, 1, 40, 41)
    assert count_withdrawn(run, samples)[run.embeddings.name] == len(samples.volume_rows)
    forget_withdrawn(run, samples, DATE)
    assert not run.embeddings.exists()
    assert run.embeddings.name not in count_withdrawn(run, samples)


def test_embeddings_of_others_stay(run: RunDirectory) -> None:
    add_embeddings(run, 1, 40)
    before = run.embeddings.read_bytes()
    forget_withdrawn(run, withdrawn(2, 39), DATE)
    assert run.embeddings.read_bytes() == before


def test_damaged_embeddings_go_for_nobody_knows_whose_they_are(run: RunDirectory) -> None:
    add_embeddings(run, 1, 40)
    run.embeddings.write_bytes(run.embeddings.read_bytes()[:-9])
    assert count_withdrawn(run, withdrawn(2))[run.embeddings.name] == 1
    forget_withdrawn(run, withdrawn(2), DATE)
    assert not run.embeddings.exists()
