"""Labels, splits and exports as a user meets them: through the command line, on a synthetic release."""

import csv
import json
import shutil
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest
from typer.testing import Result

from mmdata.errors import StudyError

RunMm = Callable[..., Result]
OWN = """
[features.grip]
field = 21001            # any field will do
kind = "continuous"
unit = "kg"
block = "strength"

[features.heavy]
kind = "binary"
any_of = [{ field = 21002, at_least = 80 }, { field = 31, codes = [9], answers = true }]
"""


def ask(root: Path, sql: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(str(root / "catalog.duckdb"), read_only=True) as catalog:
        return catalog.execute(sql).fetchall()


def succeed(result: Result) -> str:
    assert result.exit_code == 0, result.output
    return result.stdout


def participants(release: Path) -> list[str]:
    with (release / "ukb_synthetic.csv").open() as file:
        rows = [row["eid"] for row in csv.DictReader(file)]
    imaged = {path.name.split("_")[0] for path in (release / "bulk").iterdir()}
    withdrawn = (release / "w12345_20260101.csv").read_text().split()
    return sorted(set(rows) & imaged - set(withdrawn))


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory, run_mm: RunMm, make_study: Any, release: Path) -> Path:
    """A study with fields of its own, a table outside its sources, relatives and a test list."""
    folder = tmp_path_factory.mktemp("labelled")
    bare = Path(shutil.copytree(release, folder / "bare"))
    table = Path(shutil.move(bare / "ukb_synthetic.csv", folder / "elsewhere.csv"))
    people = participants(release)
    (folder / "test.txt").write_text("\n".join(people[:6]))
    (folder / "rel.dat").write_text(f"ID1 ID2 Kinship\n{people[0]} {people[7]} 0.25\n{people[8]} {people[9]} 0.1\n")
    root: Path = make_study(folder / "study", source=bare)
    with (root / "study.toml").open("a") as file:
        file.write(OWN)
    words = ("--table", table, "--test-list", folder / "test.txt", "--kinship", folder / "rel.dat", "--stratify", "sex")
    succeed(run_mm("--study", root, "ingest", "ukb", *words, "--workers", 0))
    return root


def test_a_table_lists_and_relatives_are_remembered_for_every_later_ingest(labelled: Path, run_mm: RunMm) -> None:
    settings = tomllib.loads((labelled / "study.toml").read_text())
    assert [Path(path).name for path in settings["tables"]] == ["elsewhere.csv"]
    splits = settings["splits"]
    assert (Path(splits["test_list"]).name, Path(splits["kinship"]).name) == ("test.txt", "rel.dat")
    assert splits["stratify"] == ["sex"]
    before = ask(labelled, "SELECT * FROM features ORDER BY ALL"), ask(labelled, "SELECT * FROM splits ORDER BY ALL")
    content = json.loads(succeed(run_mm("--study", labelled, "ingest", "ukb", "--workers", 0, "--json")))
    assert (content["read_now"], content["new_samples"], content["kept_splits"]) == (0, 0, 0)
    assert [table["name"] for table in content["tables"]] == ["elsewhere.csv"]
    after = ask(labelled, "SELECT * FROM features ORDER BY ALL"), ask(labelled, "SELECT * FROM splits ORDER BY ALL")
    assert after == before and len(before[0]) > 500


def test_the_listed_are_the_test_split_and_nobody_else(labelled: Path, release: Path) -> None:
    tested = ask(labelled, "SELECT DISTINCT eid FROM samples JOIN splits USING (sample_id) WHERE split = 'test'")
    assert sorted(str(eid) for (eid,) in tested) == participants(release)[:6]


def test_relatives_share_a_split_unless_the_list_says_otherwise(labelled: Path, release: Path, run_mm: RunMm) -> None:
    people = participants(release)
    split = {
        str(eid): name for eid, name in ask(labelled, "SELECT eid, split FROM samples JOIN splits USING (sample_id)")
    }
    assert split[people[8]] == split[people[9]] != "test"
    assert (split[people[0]], split[people[7]] == "test") == ("test", False)
    words = ("--target", "age", "--inputs", "t1", "--copies", 0, "--dry-run", "--json")
    content = json.loads(succeed(run_mm("--study", labelled, "train", *words)))
    has_t1 = ask(
        labelled,
        f"SELECT count(*) FROM scans JOIN samples USING (sample_id) WHERE eid = {people[7]} AND "
        "modality = 't1' AND status = 'stored'",
    )[0][0]
    assert sum(content["left_out"].values()) == has_t1


def test_a_field_of_ones_own_is_a_target_and_an_input(labelled: Path, run_mm: RunMm) -> None:
    same = ask(
        labelled,
        "SELECT count(*) FROM features a JOIN features b USING (sample_id, value) "
        "WHERE a.name = 'grip' AND b.name = 'bmi'",
    )
    assert same == ask(labelled, "SELECT count(*) FROM features WHERE name = 'bmi'") != [(0,)]
    heavy = dict(
        ask(
            labelled,
            "SELECT w.value >= 80, avg(h.value) FROM features w JOIN features h USING (sample_id) "
            "WHERE w.name = 'weight' AND h.name = 'heavy' AND w.instance = h.instance GROUP BY 1",
        )
    )
    assert heavy[True] == 1.0
    words = ("--target", "grip", "--inputs", "t1,metadata", "--metadata-block", "serology", "--copies", 0)
    content = json.loads(succeed(run_mm("--study", labelled, "train", *words, "--dry-run", "--json")))
    train = content["train"]
    assert (train["unit"], train["shown_features"]) == ("kg", ["Hb", "HDL", "LDL", "hba1c"])
    assert len(train["features"]) == 25
    content = json.loads(succeed(run_mm("--study", labelled, "targets", "--json")))
    assert {"grip", "heavy", "age"} <= {feature["name"] for feature in content["features"]}


def test_a_wrong_definition_stops_everything_before_work_begins(labelled: Path, run_mm: RunMm, tmp_path: Path) -> None:
    root = Path(shutil.copytree(labelled, tmp_path / "study"))
    text = (root / "study.toml").read_text()
    (root / "study.toml").write_text(text.replace("at_least = 80", "at_leest = 80"))
    for words in (("ingest", "ukb"), ("targets",), ("audit",), ("train", "--target", "age")):
        result = run_mm("--study", root, *words)
        assert result.exit_code == 1 and "The feature heavy cannot be used" in result.stderr, result.output
        assert "at_leest" in result.stderr


def test_a_table_of_strangers_is_told_loudly_and_stops_only_if_it_is_alone(
    labelled: Path, run_mm: RunMm, tmp_path: Path
) -> None:
    root = Path(shutil.copytree(labelled, tmp_path / "study"))
    (tmp_path / "strangers.csv").write_text("eid,21003-2.0\n7654321,50\n")
    result = run_mm("--study", root, "ingest", "ukb", "--table", tmp_path / "strangers.csv", "--workers", 0)
    assert "warning: strangers.csv names no participant with a scan" in result.stderr
    assert "7654321" not in result.output
    text = (root / "study.toml").read_text()
    kept = [line for line in text.splitlines() if not line.startswith("tables = ")]
    (root / "study.toml").write_text(f'tables = ["{tmp_path / "strangers.csv"}"]\n' + "\n".join(kept))
    before = (root / "catalog.duckdb").read_bytes()
    result = run_mm("--study", root, "ingest", "ukb", "--workers", 0)
    assert result.exit_code == 1 and "name no participant with a scan in this study" in result.stderr
    assert (root / "catalog.duckdb").read_bytes() == before


def test_the_audit_of_a_clean_study_finds_nothing_that_matters(labelled: Path, run_mm: RunMm) -> None:
    content = json.loads(succeed(run_mm("--study", labelled, "audit", "--json")))
    severities = {finding["code"]: finding["severity"] for finding in content["findings"]}
    assert "critical" not in severities.values()


def test_the_audit_says_what_it_can_find_in_a_study_of_this_size(labelled: Path, run_mm: RunMm) -> None:
    words = ("--study", labelled, "audit", "--reach")
    reach = json.loads(succeed(run_mm(*words, "--json")))["reach"]
    assert "copied-participants" in {code for of_check in reach for code in of_check["codes"]}
    told = " ".join(succeed(run_mm(*words)).split())
    assert all(of_check["codes"][0] in told for of_check in reach)
    assert " audit --reach" in run_mm("--study", labelled, "audit", "--no-compare").stdout


def test_training_is_refused_on_a_critical_finding_unless_it_is_accepted_and_recorded(
    labelled: Path, run_mm: RunMm, tmp_path: Path
) -> None:
    root = Path(shutil.copytree(labelled, tmp_path / "study"))
    text = (root / "study.toml").read_text()
    (root / "study.toml").write_text(
        text + '\n[features.age]\nkind = "continuous"\nunit = "years"\nfield = 21022\n'
        'block = "constitutional"\npolicy = "earliest"\n'
    )
    succeed(run_mm("--study", root, "ingest", "ukb", "--workers", 0))
    words = ("--target", "age", "--inputs", "t1", "--copies", 0, "--epochs", 1, "--channels", "2,2", "--device", "cpu")
    refused = run_mm("--study", root, "train", *words)
    assert refused.exit_code == 1
    assert "recruitment-age" in refused.stderr and "--accept recruitment-age" in refused.stderr
    assert run_mm("--study", root, "audit", "--no-compare").exit_code == 1
    assert not list((root / "runs").iterdir())
    content = json.loads(succeed(run_mm("--study", root, "train", *words, "--accept", "recruitment-age", "--json")))
    config = json.loads((Path(content["run_directory"]) / "config.json").read_text())
    assert {"recruitment-age"} <= {finding["code"] for finding in config["audit"]}


@pytest.mark.parametrize(
    ("options", "name"),
    [(("--fold", "1/4"), "fold-1/4"), (("--leave-out-centre", "{centre}"), "without-centre-{centre}")],
)
def test_a_run_may_have_another_split(study: Path, run_mm: RunMm, options: tuple[str, ...], name: str) -> None:
    counts = ask(study, "SELECT value, count(*) FROM features WHERE name = 'centre' GROUP BY value ORDER BY 2 DESC")
    centre = str(int(counts[1][0]))
    given = [option.format(centre=centre) for option in options]
    words = ("--target", "age", "--inputs", "metadata", "--metadata-block", "disease", "--dry-run", "--json")
    content = json.loads(succeed(run_mm("--study", study, "train", *words, *given)))
    assert content["train"]["split"] == name.format(centre=centre)
    everyone = ask(study, "SELECT count(*) FROM features WHERE name = 'age'")[0][0]
    assert sum(content["n"].values()) + sum(content["left_out"].values()) == everyone


def test_an_export_has_every_sample_and_no_eid(labelled: Path, run_mm: RunMm, tmp_path: Path) -> None:
    succeed(run_mm("--study", labelled, "export", tmp_path / "all.parquet"))
    succeed(run_mm("--study", labelled, "export", tmp_path / "some.csv", "--feature", "age", "--feature", "sex"))
    frame = pl.read_parquet(tmp_path / "all.parquet")
    assert frame.height == ask(labelled, "SELECT count(*) FROM samples")[0][0]
    eids = {eid for (eid,) in ask(labelled, "SELECT eid FROM samples")}
    assert not any(eids & set(frame[column].to_list()) for column in frame.columns)
    assert not any(str(eid) in (tmp_path / "some.csv").read_text() for eid in eids)
    assert pl.read_csv(tmp_path / "some.csv").columns == ["sample_id", "row", "split", "sex", "age"]
    ages = dict(ask(labelled, "SELECT sample_id, value FROM features WHERE name = 'age'"))
    assert dict(frame.select("sample_id", "age").drop_nulls().iter_rows()) == ages


def test_a_summary_tells_no_count_below_ten(labelled: Path, run_mm: RunMm, tmp_path: Path) -> None:
    path = tmp_path / "groups.parquet"
    succeed(run_mm("--study", labelled, "export", path, "--summary-only", "--by", "sex"))
    counts = pl.read_parquet(path).filter(pl.col("statistic") == "count")["number"].drop_nulls()
    assert counts.len() and not counts.is_between(1, 9).any()


def test_a_query_reads_and_never_writes(labelled: Path, run_mm: RunMm) -> None:
    before = (labelled / "catalog.duckdb").read_bytes()
    words = "SELECT name, kind FROM dictionary WHERE is_target ORDER BY name LIMIT 3"
    assert json.loads(succeed(run_mm("--study", labelled, "query", words, "--json")))["columns"] == ["name", "kind"]
    assert succeed(run_mm("--study", labelled, "query", words, "--csv")).splitlines()[0] == "name,kind"
    assert "Hb" in succeed(run_mm("--study", labelled, "query", words))
    result = run_mm("--study", labelled, "query", "DELETE FROM feature")
    assert result.exit_code == 1 and "only reads" in result.stderr
    assert (labelled / "catalog.duckdb").read_bytes() == before


def test_a_test_list_of_strangers_is_refused_and_settles_nothing(release: Path, run_mm: RunMm, tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("1234567\n7654321\n")
    words = ("ingest", "ukb", release, "--test-list", tmp_path / "list.txt", "--workers", 0)
    result = run_mm("--study", tmp_path / "study", *words)
    assert result.exit_code == 1 and "names 2 participants, none of whom has a scan" in result.stderr
    assert "1234567" not in result.output
    assert not (tmp_path / "study").exists()


def test_what_no_table_holds_and_what_is_kept_is_said(labelled: Path, run_mm: RunMm, tmp_path: Path) -> None:
    root = Path(shutil.copytree(labelled, tmp_path / "study"))
    settings = tomllib.loads((root / "study.toml").read_text())
    table = Path(settings["tables"][0])
    few = tmp_path / "few.csv"
    with table.open() as file:
        few.write_text("".join(";".join(row[:2]) + "\n" for row in csv.reader(file)))  # as some spreadsheets do
    (root / "study.toml").write_text((root / "study.toml").read_text().replace(str(table), str(few)))
    result = run_mm("--study", root, "ingest", "ukb", "--workers", 0)
    assert result.exit_code == 0, result.output
    assert "warning: No table has a value of age, weight, handedness" in result.stderr
    assert ask(root, "SELECT DISTINCT name FROM features WHERE name IN ('sex', 'age')") == [("sex",)]
    (root / "study.toml").write_text((root / "study.toml").read_text().replace(f'tables = ["{few}"]', "tables = []"))
    (root / "study.toml").write_text((root / "study.toml").read_text().replace('stratify = ["sex"]', "stratify = []"))
    result = run_mm("--study", root, "ingest", "ukb", "--workers", 0)
    assert "warning: No table was found: the labels of an earlier ingest are kept" in result.stderr
    assert ask(root, "SELECT DISTINCT name FROM features WHERE name IN ('sex', 'age')") == [("sex",)]


def test_what_is_accepted_in_vain_is_said(study: Path, run_mm: RunMm) -> None:
    words = ("--target", "age", "--inputs", "metadata", "--metadata-block", "disease", "--fold", "1/4", "--dry-run")
    output = succeed(run_mm("--study", study, "train", *words, "--accept", "recruitment-aeg"))
    assert "--accept recruitment-aeg: the audit has no such finding" in output


def test_a_new_study_that_another_command_is_at_work_in_is_left_alone(
    release: Path, run_mm: RunMm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(layout: object) -> None:
        raise StudyError("Process 1 is writing to this study.")

    monkeypatch.setattr("mmstudy.ingest.hold_stores", refuse)
    result = run_mm("--study", tmp_path / "study", "ingest", "ukb", release, "--workers", 0)
    assert result.exit_code == 1 and "Process 1 is writing" in result.stderr
    assert (tmp_path / "study" / "study.toml").exists()
