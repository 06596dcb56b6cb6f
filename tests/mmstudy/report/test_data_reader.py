"""The data of a study are read in the background, and are not kept beyond a withdrawal."""

from collections.abc import Iterator
from queue import Queue
from threading import Event

import pytest

from mmbase.errors import MmError
from mmstudy.presence import Withdrawals
from mmstudy.progress import Progress
from mmstudy.report.data_reader import DataReader
from mmstudy.report.facts import DataFacts, SplitSize

NOBODY: Withdrawals = frozenset()
SOMEBODY: Withdrawals = frozenset({("key", "begun")})


def data(participants: int) -> DataFacts:
    sizes = {"train": SplitSize(samples=participants, participants=participants)}
    return DataFacts(splits=sizes, inputs=(), totals=(), tables=(), associations=(), images=())


class Readings:
    """Stands for what reads: each reading waits for its answer, and tells how far it is until then."""

    def __init__(self) -> None:
        self.answers: Queue[DataFacts | MmError] = Queue()
        self.was_stopped = Event()

    def read(self, progress: Progress) -> DataFacts:
        with progress("pairs") as on_progress:
            try:
                while self.answers.empty():
                    on_progress(0, 1)
                    Event().wait(0.001)
            except Exception:
                self.was_stopped.set()
                raise
        answer = self.answers.get()
        if isinstance(answer, MmError):
            raise answer
        return answer


@pytest.fixture
def readings() -> Readings:
    return Readings()


@pytest.fixture
def reader(readings: Readings) -> Iterator[DataReader]:
    reader = DataReader(readings.read)
    yield reader
    reader.close()


def wait_for(reader: DataReader) -> None:
    while not reader.state[1]:
        Event().wait(0.001)


def test_nobody_waits_for_the_data_and_they_are_read_once(reader: DataReader, readings: Readings) -> None:
    assert reader.data_without(NOBODY) is None and not reader.state[1]
    readings.answers.put(data(20))
    wait_for(reader)
    assert reader.data_without(NOBODY) == reader.data_without(NOBODY) == data(20)


def test_after_a_withdrawal_they_are_read_again_and_the_former_are_never_given(
    reader: DataReader, readings: Readings
) -> None:
    assert reader.data_without(NOBODY) is None
    readings.answers.put(data(21))
    wait_for(reader)
    assert reader.data_without(SOMEBODY) is None and not reader.state[1]
    readings.answers.put(data(20))
    wait_for(reader)
    assert reader.data_without(SOMEBODY) == data(20)


def test_a_reading_that_a_withdrawal_overtakes_is_stopped(reader: DataReader, readings: Readings) -> None:
    assert reader.data_without(NOBODY) is None
    assert reader.data_without(SOMEBODY) is None
    readings.was_stopped.wait()
    readings.answers.put(data(20))
    wait_for(reader)
    assert reader.data_without(SOMEBODY) == data(20)


def test_what_stands_in_the_way_is_told_and_the_data_are_read_again_for_the_next_who_asks(
    reader: DataReader, readings: Readings
) -> None:
    assert reader.data_without(NOBODY) is None
    readings.answers.put(MmError("The store is gone."))
    wait_for(reader)
    with pytest.raises(MmError, match="The store is gone"):
        reader.data_without(NOBODY)
    assert reader.data_without(NOBODY) is None
    readings.answers.put(data(20))
    wait_for(reader)
    assert reader.data_without(NOBODY) == data(20)


def test_the_end_does_not_wait_for_the_data(readings: Readings) -> None:
    reader = DataReader(readings.read)
    assert reader.data_without(NOBODY) is None
    reader.close()
    assert reader.state[1]
