"""SLURM itself is played by three small scripts that run real jobs: sbatch, squeue and scancel."""

import os
import signal
import stat
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from mmdata.errors import ClusterError
from mmdata.execution import pools, tasks
from mmdata.execution.slurm import SlurmPool
from mmdata.execution.tasks import leave_worker, run_tasks

SBATCH = """#!/bin/sh
if [ "$1" = --test-only ]; then
    if grep -q partition=nowhere "$2"; then echo "sbatch: error: invalid partition specified: nowhere" >&2; exit 1; fi
    exit 0
fi
script=$(mktemp "$JOBS/XXXXXX.sh")
cp "$1" "$script"
setsid $RUN "$script" >/dev/null 2>&1 </dev/null &
echo "Submitted batch job $!"
"""
SQUEUE = """#!/bin/sh
for id in $(echo "$3" | sed 's/--jobs=//; s/,/ /g'); do
    grep -qs '^State:.[^Z]' /proc/$id/status && echo $id && found=1
done
[ "$found" ] || { echo "slurm_load_jobs error: Invalid job id specified" >&2; exit 1; }
"""
SCANCEL = """#!/bin/sh
kill -TERM -- -$1
(sleep 2; kill -KILL -- -$1) >/dev/null 2>&1 &
"""
GONE_SECONDS = 120
"""A job that was not cancelled as it started ends by itself, 60 s after it has lost its scheduler."""
LATE = """#!/bin/sh
sleep 3
exec sh "$1"
"""


@pytest.fixture
def jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put the scripts on the path; return the folder that will hold the submitted jobs."""
    pytest.importorskip("dask_jobqueue", reason="dask-jobqueue is not installed")
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, script in {"sbatch": SBATCH, "squeue": SQUEUE, "scancel": SCANCEL, "late": LATE}.items():
        (programs / name).write_text(script)
        (programs / name).chmod(0o755)
    folder = tmp_path / "jobs"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.setenv("JOBS", str(folder))
    monkeypatch.setenv("RUN", "sh")
    return folder


def processes_of(folder: Path) -> list[psutil.Process]:
    return [process for process in psutil.process_iter() if f"JOBS={folder}" in environment(process)]


def kill_a_job(folder: Path) -> None:
    worker = next(process for process in processes_of(folder) if "distributed.cli.dask_worker" in process.cmdline())
    os.killpg(os.getpgid(worker.pid), signal.SIGKILL)


def environment(process: psutil.Process) -> str:
    try:
        return Path(f"/proc/{process.pid}/environ").read_text(errors="replace").replace("\0", "\n")
    except OSError:
        return ""


def test_jobs_compute_and_are_gone_afterwards(jobs: Path, tmp_path: Path) -> None:
    pool = SlurmPool(
        jobs=2, directory=tmp_path / "slurm", walltime="00:30:00", options=("--partition=cpu", "--account=abc")
    )
    assert sorted(run_tasks(abs, [-3, -2, -1], workers=pool, memory_bytes=2_400_000_000)) == [1, 2, 3]
    _, alive = psutil.wait_procs(processes_of(jobs), timeout=GONE_SECONDS)
    assert alive == []
    scripts = [path.read_text() for path in jobs.iterdir()]
    assert len(scripts) == 2
    for script in scripts:
        for line in ("--mem=4G", "-t 00:30:00", "--partition=cpu", "--account=abc", "--cpus-per-task=1", "-J mm"):
            assert f"#SBATCH {line}\n" in script
        assert f"{sys.executable} -m distributed.cli.dask_worker tls://" in script
        assert "--nthreads 1" in script


def test_keys_are_the_users_alone_and_gone_afterwards(jobs: Path, tmp_path: Path) -> None:
    folder = tmp_path / "slurm"
    for _ in run_tasks(abs, [-1], workers=SlurmPool(jobs=1, directory=folder)):
        (keys,) = folder.iterdir()
        assert stat.S_IMODE(keys.stat().st_mode) == 0o700
        assert (keys / "key.pem").read_text().startswith("-----BEGIN PRIVATE KEY-----")
    assert list(folder.iterdir()) == []


def test_work_goes_on_when_a_job_is_killed(jobs: Path, tmp_path: Path) -> None:
    slept = []
    for result in run_tasks(time.sleep, [0.5] * 12, workers=SlurmPool(jobs=2, directory=tmp_path / "slurm")):
        if len(slept) == 2:
            kill_a_job(jobs)
        slept.append(result)
    assert len(slept) == 12


def leave_once(left: Path) -> int:
    """Leave the worker unless one was left before; return the number of the process that did not."""
    if not left.exists():
        left.write_text(str(os.getpid()))
        leave_worker()
    return os.getpid()


def test_a_task_may_leave_its_job_and_is_done_by_the_next(
    jobs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[3]))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))  # of the jobs, which import this file
    monkeypatch.setitem(pools._OWN_CLUSTER_SETTINGS, "distributed.deploy.lost-worker-timeout", "1s")
    left = tmp_path / "left"
    (number,) = run_tasks(leave_once, [left], workers=SlurmPool(jobs=1, directory=tmp_path / "slurm"))
    assert number != int(left.read_text())
    assert len(list(jobs.iterdir())) == 2


def test_a_job_that_is_gone_is_submitted_again(jobs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(pools._OWN_CLUSTER_SETTINGS, "distributed.deploy.lost-worker-timeout", "1s")
    results = run_tasks(time.sleep, [0.1] * 4, workers=SlurmPool(jobs=1, directory=tmp_path / "slurm"))
    next(results)
    kill_a_job(jobs)
    assert len(list(results)) == 3
    assert len(list(jobs.iterdir())) == 2


def test_jobs_that_wait_in_the_queue_are_waited_for(
    jobs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUN", "late")
    monkeypatch.setattr(tasks, "PATIENCE_SECONDS", 1.0)
    assert list(run_tasks(abs, [-1], workers=SlurmPool(jobs=1, directory=tmp_path / "slurm"))) == [1]


def test_jobs_that_end_without_working_end_the_work(
    jobs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUN", "true")
    monkeypatch.setattr(tasks, "PATIENCE_SECONDS", 2.0)
    with pytest.raises(
        ClusterError,
        match=r"No workers came for 2 s\. .* is intact: .*The jobs ended.*logs are in .*/slurm",
    ):
        list(run_tasks(abs, [-1], workers=SlurmPool(jobs=2, directory=tmp_path / "slurm")))


def test_options_that_slurm_refuses_are_shown_with_its_words(jobs: Path, tmp_path: Path) -> None:
    pool = SlurmPool(jobs=1, directory=tmp_path / "slurm", options=("--partition=nowhere",))
    with pytest.raises(
        ClusterError,
        match=r"SLURM refuses the job: sbatch: error: invalid partition specified: nowhere\. Check --walltime",
    ):
        list(run_tasks(abs, [-1], workers=pool))
    assert list(jobs.iterdir()) == []


def test_a_machine_without_slurm_is_told_so(jobs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ClusterError, match="no sbatch on this machine"):
        list(run_tasks(abs, [-1], workers=SlurmPool(jobs=1, directory=tmp_path)))


def test_what_to_install_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "dask_jobqueue.slurm", None)
    with pytest.raises(ClusterError, match=r"pip install 'megamodeller\[slurm\]'"):
        list(run_tasks(abs, [-1], workers=SlurmPool(jobs=1, directory=tmp_path)))


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"jobs": 0}, "at least 1 SLURM job, got 0"),
        ({"walltime": "soon"}, "walltime such as 12:00:00 .* got 'soon'"),
        ({"options": ("partition=cpu",)}, "option of sbatch .* got 'partition=cpu'"),
        ({"options": ("--comment=a\nrm -r x",)}, "option of sbatch"),
        ({"directory": Path("/my study/slurm")}, "spaces in its name: /my study/slurm"),
    ],
)
def test_a_pool_that_cannot_be_is_refused_at_once(setting: dict[str, Any], message: str) -> None:
    with pytest.raises(ClusterError, match=message):
        SlurmPool(**{"jobs": 1, "directory": Path("/study/slurm"), **setting})


@pytest.mark.parametrize("walltime", ["30", "30:00", "12:00:00", "1-12", "2-00:00:00"])
def test_walltimes_of_sbatch_are_taken(walltime: str) -> None:
    assert SlurmPool(jobs=1, directory=Path("/study/slurm"), walltime=walltime).walltime == walltime
