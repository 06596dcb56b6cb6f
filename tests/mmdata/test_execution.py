import math

import pytest

from mmdata.execution import run_tasks


def test_no_tasks_start_nothing() -> None:
    assert list(run_tasks(math.sqrt, [], workers=2)) == []


def test_without_workers_tasks_run_here_in_order() -> None:
    assert list(run_tasks(math.sqrt, [9.0, 1.0, 4.0], workers=0)) == [3.0, 1.0, 2.0]


def test_two_workers_do_every_task_once() -> None:
    tasks = [float(number**2) for number in range(11)]
    assert sorted(run_tasks(math.sqrt, tasks, workers=2)) == [float(number) for number in range(11)]


@pytest.mark.parametrize("workers", [0, 1])
def test_error_of_a_task_comes_out(workers: int) -> None:
    with pytest.raises(ValueError, match=r"math domain error|nonnegative"):
        list(run_tasks(math.sqrt, [1.0, -1.0, 4.0], workers=workers))
