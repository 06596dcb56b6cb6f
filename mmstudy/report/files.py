"""The files of a report: its page, and its figures in a folder beside it."""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from catalog.database import open_catalog
from catalog.fields import Dictionary
from catalog.samples import known_samples
from mmbase.files import write_text
from mmdata.errors import StudyError
from mmdata.store.schema import StudyLayout
from mmdata.study import Study
from mmstudy.comparison.compare import Comparison
from mmstudy.comparison.origins import compare_sweep, compare_table
from mmstudy.dictionary import study_dictionary
from mmstudy.outputs import record_output
from mmstudy.presence import require_present
from mmstudy.privacy.disclosure import check_summaries
from mmstudy.privacy.summaries import record_summaries
from mmstudy.privacy.wording import warning_of_exports
from mmstudy.progress import Progress
from mmstudy.release.check import require_publishable
from mmstudy.release.folder import offer_contents
from mmstudy.release.people import read_people
from mmstudy.report.beside import Beside
from mmstudy.report.content import About, report_content
from mmstudy.report.facts import StudyFacts
from mmstudy.report.figures import make_figures, require_own_folder, write_figures
from mmstudy.report.links import find_links
from mmstudy.report.models import runs_of
from mmstudy.report.other_table import OtherTable
from mmstudy.report.page.page import report_page
from mmstudy.report.study_facts import read_data_facts, read_study_facts
from mmstudy.runs.folders import study_runs
from mmstudy.sweep.directory import SweepDirectory
from mmtrain.run import RunDirectory, find_run

FIGURES = "figures"


@dataclass(frozen=True, kw_only=True, slots=True)
class ReportFile:
    """What is to be written."""

    page: Path
    title: str
    made_on: str
    """A date."""
    has_figures: bool = False

    @property
    def folder(self) -> Path:
        """Return the folder of the figures."""
        return self.page.parent / FIGURES


@dataclass(frozen=True, kw_only=True, slots=True)
class WrittenReport:
    """What was written."""

    comparison: Comparison
    beside: list[str]
    """How the scores of each series lie to those of another table; nothing without one."""
    figures: list[str]
    """Names of files."""
    warnings: list[str] = field(default_factory=list)
    """What follows from it together with what was exported before."""


def report_sweep(
    study: Study,
    sweep: SweepDirectory,
    file: ReportFile,
    warn: Callable[[str], None],
    progress: Progress,
    other: OtherTable | None = None,
) -> WrittenReport:
    """Write the report of a sweep, where asked to with another table beside its scores.

    Each file is put on record before it is written, for all of them are of people: a withdrawal removes them.

    Raises
    ------
    StudyError
        Participants have withdrawn meanwhile: then there is no report.
    TrainError
        No model is finished, models of every target differ in what must be equal, or figures could be mixed up with
        somebody's own files.
    ReleaseError
        Something in the report must not be published.
    """
    with open_catalog(study.layout.catalog) as catalog:
        rows = [sample.row for sample in known_samples(catalog).values()]
    comparison, dictionary = compare_sweep(study, sweep, warn), study_dictionary(study)
    targets = comparison.results["target"].unique(maintain_order=True).to_list()
    facts = read_study_facts(study, comparison, read_data_facts(study, targets, dictionary, progress))
    links = find_links(study.layout, file.page, study_runs(study.layout).reachable)
    about = About(title=file.title, source="runs", made_on=file.made_on, links=links)
    beside = None if other is None else Beside(table=other, settings=facts.settings)
    content = report_content(comparison, dictionary, about, facts, beside)
    warnings = _put_on_record(study, comparison, facts)
    written = replace(_write(comparison, content, file, study), warnings=warnings)
    try:
        require_present(study.layout, rows)
    except StudyError:
        for path in (file.page, *(file.folder / name for name in written.figures)):
            path.unlink(missing_ok=True)
        raise
    return written


def report_table(
    table: Path, dictionary: Dictionary, file: ReportFile, other: OtherTable | None = None
) -> WrittenReport:
    """Write the report of a table in the published columns, where asked to with another one beside its scores.

    Raises
    ------
    TrainError
        It cannot be read as such a table, or figures could be mixed up with somebody's own files.
    ReleaseError
        Something in the report must not be published.
    """
    comparison = compare_table(table, dictionary)
    about = About(title=file.title, source="table", made_on=file.made_on)
    beside = None if other is None else Beside(table=other, settings={})
    content = report_content(comparison, dictionary, about, beside=beside)
    return _write(comparison, content, file, None)


def _write(comparison: Comparison, content: dict[str, Any], file: ReportFile, study: Study | None) -> WrittenReport:
    """Write page and figures.

    Parameters
    ----------
    study
        That the models are of, which keeps a record of the files; None of a table, which is nobody's.
    """
    layout = None if study is None else study.layout
    page = report_page(content)
    figures = make_figures(comparison, content) if file.has_figures else {}
    if file.has_figures:
        require_own_folder(file.folder, figures)
    people = None if study is None else read_people(study)
    require_publishable(offer_contents({file.page.name: page.encode(), **figures}), people)
    if layout is not None:
        record_output(layout, file.page)
    write_text(file.page, page)
    if file.has_figures:
        write_figures(figures, file.folder, partial(_record, layout))
    told = content["beside"]["series"]["told"] if "beside" in content else []
    return WrittenReport(comparison=comparison, beside=told, figures=list(figures))


def _put_on_record(study: Study, comparison: Comparison, facts: StudyFacts) -> list[str]:
    """Put on record which groups a report tells of; return what the rules of disclosure say, with earlier exports."""
    by_name = {run.run_id: run for run in study_runs(study.layout).reachable}
    told = [by_name[name] for name in runs_of(comparison.results) if name in by_name]
    subgroups: defaultdict[str, set[tuple[str, str, str]]] = defaultdict(set)
    for (run_id, target), tested in facts.tested.items():
        subgroups[run_id].update((target, group.by, group.group) for group in tested.groups)
    runs = [(run, _targets_of(run)) for run in told if run.cohort.exists()]
    record_summaries(study.layout, "report", runs, subgroups)
    return warning_of_exports(check_summaries(study))


def _targets_of(run: RunDirectory) -> list[str]:
    _, config = find_run(run.path.parent, run.run_id)
    return [target.name for target in config.data.targets]


def _record(layout: StudyLayout | None, path: Path) -> None:
    if layout is not None:
        record_output(layout, path)
