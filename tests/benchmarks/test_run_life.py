from pathlib import Path

from benchmarks.run_life import QUESTIONS, STEPS, live, make_study
from catalog.database import open_catalog
from catalog.summary import summarise


def test_every_question_of_the_benchmark_can_be_lived_and_is_entered(tmp_path: Path) -> None:
    study = make_study(tmp_path / "study", num_samples=400, num_runs=2)
    for target in QUESTIONS:
        seconds = live(study, target)
        assert tuple(seconds) == STEPS and min(seconds.values()) > 0
    with open_catalog(study.layout.catalog) as catalog:
        assert [run["target"] for run in summarise(catalog).runs] == ["age", "age", *QUESTIONS]
