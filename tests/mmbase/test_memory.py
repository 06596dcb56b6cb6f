"""What a process may still take is the least that its machine and its control groups leave it, in made-up trees."""

from pathlib import Path

import psutil
import pytest

from mmbase.memory import available_bytes

OF_MACHINE = 10_000
NO_LIMIT_V1 = 9_223_372_036_854_771_712
"""What version 1 says of a group without a limit."""


@pytest.fixture(autouse=True)
def _machine(monkeypatch: pytest.MonkeyPatch) -> None:
    memory = psutil.virtual_memory()._replace(available=OF_MACHINE)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: memory)


def be_in(root: Path, *lines: str) -> None:
    """Say which groups the process is in."""
    (root / "proc" / "self").mkdir(parents=True)
    (root / "proc" / "self" / "cgroup").write_text("".join(f"{line}\n" for line in lines))


def make_group(path: Path, limit: object, usage: int, cache: int = 0, *, version: int = 2) -> None:
    """Make a group with a limit."""
    path.mkdir(parents=True, exist_ok=True)
    names = {2: ("memory.max", "memory.current", ""), 1: ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_")}
    limit_name, usage_name, of_all = names[version]
    (path / limit_name).write_text(f"{limit}\n")
    (path / usage_name).write_text(f"{usage}\n")
    (path / "memory.stat").write_text(f"anon 1\n{of_all}inactive_file {cache}\n{of_all}active_file 7\n")


def test_without_groups_it_is_what_the_machine_has(tmp_path: Path) -> None:
    assert available_bytes(tmp_path) == OF_MACHINE


def test_the_limit_of_the_own_group_counts_and_file_cache_is_available(tmp_path: Path) -> None:
    be_in(tmp_path, "0::/system.slice/job")
    make_group(tmp_path / "sys/fs/cgroup/system.slice/job", 5000, 3000, 400)
    assert available_bytes(tmp_path) == 5000 - 3000 + 400


@pytest.mark.parametrize(("of_step", "of_job", "expected"), [("max", 5000, 1900), (3000, 9000, 2900)])
def test_the_least_of_the_group_and_those_above_counts(
    tmp_path: Path, of_step: object, of_job: int, expected: int
) -> None:
    be_in(tmp_path, "0::/job_1/step_0")
    make_group(tmp_path / "sys/fs/cgroup/job_1", of_job, 3100)
    make_group(tmp_path / "sys/fs/cgroup/job_1/step_0", of_step, 100)
    assert available_bytes(tmp_path) == expected


def test_groups_beside_the_own_do_not_count(tmp_path: Path) -> None:
    be_in(tmp_path, "0::/job_1")
    make_group(tmp_path / "sys/fs/cgroup/job_1", "max", 100)
    make_group(tmp_path / "sys/fs/cgroup/job_2", 200, 100)
    assert available_bytes(tmp_path) == OF_MACHINE


def test_a_container_that_does_not_see_its_own_path_is_limited_by_the_group_it_sees(tmp_path: Path) -> None:
    be_in(tmp_path, "5:memory:/docker/0123", "0::/../../other")
    make_group(tmp_path / "sys/fs/cgroup/memory", 4000, 1000, 200, version=1)
    assert available_bytes(tmp_path) == 4000 - 1000 + 200


def test_version_1_is_understood_with_and_without_a_limit(tmp_path: Path) -> None:
    be_in(tmp_path, "9:name=systemd:/", "4:hugetlb,memory:/slurm/job_1", "0::/")
    (tmp_path / "sys/fs/cgroup/unified").mkdir(parents=True)
    make_group(tmp_path / "sys/fs/cgroup/memory/slurm", NO_LIMIT_V1, 5000, version=1)
    assert available_bytes(tmp_path) == OF_MACHINE
    make_group(tmp_path / "sys/fs/cgroup/memory/slurm/job_1", 3000, 2500, 300, version=1)
    assert available_bytes(tmp_path) == 3000 - 2500 + 300


def test_a_group_that_has_taken_more_than_its_limit_leaves_nothing(tmp_path: Path) -> None:
    be_in(tmp_path, "0::/job")
    make_group(tmp_path / "sys/fs/cgroup/job", 3000, 3500, 100)
    assert available_bytes(tmp_path) == 0


def test_what_the_system_says_here_can_be_read() -> None:
    assert 0 <= available_bytes() <= OF_MACHINE
