"""The report of a sweep while it runs: what a page that is served is made of.

Scores are read anew whenever a job has ended. What the study says of its data takes longer to read, and does not depend
on the sweep: it is read once, in the background, and kept until somebody withdraws. The page says so.
"""

from collections.abc import Callable, Hashable
from functools import partial

from mmdata.study import Study
from mmstudy.comparison.compare import Comparison
from mmstudy.comparison.origins import compare_sweep
from mmstudy.dictionary import study_dictionary
from mmstudy.on_record import today
from mmstudy.presence import Withdrawals, read_withdrawals, require_same_withdrawals
from mmstudy.report.beside import Beside
from mmstudy.report.content import About, report_content
from mmstudy.report.data_reader import DataReader
from mmstudy.report.facts import DataFacts
from mmstudy.report.other_table import OtherTable
from mmstudy.report.page.page import report_page
from mmstudy.report.study_facts import read_data_facts, read_run_settings, read_study_facts
from mmstudy.sweep.directory import SweepDirectory
from mmstudy.sweep.state import read_states
from mmstudy.sweep.stored_plan import read_plan

RELOAD_SECONDS = 30
"""After which a browser asks for the page again."""
_NOT_YET = (
    "The tabs of calibration and of the data are not there yet: they are being made, and come with the next page. This "
    "page is loaded again when nobody has touched it for a while."
)
_NOT_READ = (
    "The tabs of calibration and of the data cannot be made now; the command that serves this page says why. They are "
    "tried again with the next page."
)
"""The reason may name folders, and a page can be sent."""


class LiveReport:
    """Makes the page as of now. One at a time may ask for it."""

    def __init__(
        self,
        study: Study,
        sweep: SweepDirectory,
        title: str,
        warn: Callable[[str], None],
        other: OtherTable | None = None,
    ) -> None:
        plan, _ = read_plan(sweep)
        self._study, self._sweep, self._title, self._warn, self._other = study, sweep, title, warn, other
        self._dictionary = study_dictionary(study)
        self._jobs = {job.name: job for job in plan.jobs}
        targets = list(dict.fromkeys(planned.cell.target for planned in plan.cells))
        self._data = DataReader(partial(read_data_facts, study, targets, self._dictionary))
        self._compared: tuple[Hashable, Comparison] | None = None

    def mark(self) -> Hashable:
        """Return what changes when the page is to be made anew."""
        return self._scores_mark(read_withdrawals(self._study.layout)), self._data.state

    def make(self) -> str:
        """Return the page.

        Raises
        ------
        StudyError
            Somebody withdrew while it was made: there is none.
        TrainError
            No model is finished, or models of every target differ in what must be equal.
        """
        withdrawals = read_withdrawals(self._study.layout)
        comparison = self._compare(self._scores_mark(withdrawals))
        data, note = self._read_data(withdrawals)
        facts = None if data is None else read_study_facts(self._study, comparison, data)
        about = About(title=self._title, source="runs", made_on=today(), notes=(note,))
        content = report_content(comparison, self._dictionary, about, facts, self._beside(comparison))
        page = report_page(content, reload_seconds=RELOAD_SECONDS)
        require_same_withdrawals(self._study.layout, withdrawals)
        return page

    def close(self) -> None:
        """Stop what is done in the background."""
        self._data.close()

    def _scores_mark(self, withdrawals: Withdrawals) -> Hashable:
        states = read_states(self._sweep, self._jobs)
        return frozenset((job, state.outcome) for job, state in states.items()), withdrawals

    def _compare(self, mark: Hashable) -> Comparison:
        """Return the comparison of what is finished; the last one where nothing has changed."""
        if self._compared is None or self._compared[0] != mark:
            self._compared = None
            self._compared = mark, compare_sweep(self._study, self._sweep, self._warn)
        return self._compared[1]

    def _beside(self, comparison: Comparison) -> Beside | None:
        if self._other is None:
            return None
        return Beside(table=self._other, settings=read_run_settings(self._study, comparison))

    def _read_data(self, withdrawals: Withdrawals) -> tuple[DataFacts | None, str]:
        """Return the data, if they are there, and what to say of them."""
        try:
            data = self._data.data_without(withdrawals)
        except Exception as error:  # whatever it is, scores are still worth a page
            self._warn(f"The data of the study cannot be read: {error}")
            return None, _NOT_READ
        return data, _NOT_YET if data is None else f"The data tab is as of {self._data.begun}; scores are as of now."
