"""`mm doctor` finds what would stop a command, says what to do, and is content where nothing is wrong."""

import errno
import fcntl
import json
import tomllib
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from packaging.requirements import Requirement

from mmbase import lock, modules
from mmbase.version import VERSION
from mmcli.doctor import CONSTRAINTS
from mmdata.execution import semaphores
from mmstudy.doctor import folders, installation, machine, packages
from mmstudy.doctor.finding import Finding
from tests.conftest import RunMm
from tests.mmcli.outcome import snapshot

ROOT = Path(__file__).parents[3]


def not_installed(name: str) -> Any:
    raise metadata.PackageNotFoundError(name)


def told_versions(**other: str | None) -> Callable[[str], str | None]:
    """Return what tells the versions here, but for some packages."""
    ours = packages._version
    return lambda name: other[name] if name in other else ours(name)


def by_subject(findings: Any) -> dict[str, Finding]:
    return {finding.subject: finding for finding in findings}


def test_the_doctor_changes_nothing_and_finds_the_study(run_mm: RunMm, study: Path) -> None:
    before = snapshot(study)
    result = run_mm("--study", study, "doctor", "--json")
    assert snapshot(study) == before
    content = json.loads(result.stdout)
    found = {finding["subject"]: finding for finding in content["findings"]}
    assert found["study"]["here"].startswith(f"{study}: file system ")
    assert found["locks"]["state"] == found["Python"]["state"] == found["packages"]["state"] == "ok"
    assert content["ok"] == all(finding["state"] != "stops" for finding in content["findings"])


def test_what_would_stop_a_command_is_exit_code_1(
    run_mm: RunMm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packages, "_version", told_versions(duckdb=None))
    result = run_mm("--study", tmp_path / "none", "doctor")
    assert result.exit_code == 1
    assert "would stop a command: " in result.stderr and "package duckdb" in result.stderr
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(("version", "here"), [(None, "not installed"), ("0.1.0", "0.1.0, and mm needs >=")])
def test_a_package_that_is_missing_or_too_old_comes_with_the_command_that_installs_it(
    version: str | None, here: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packages, "_version", told_versions(polars=version))
    found = by_subject(packages.examine_packages(CONSTRAINTS))
    assert "packages" not in found and found["package polars"].here.startswith(here)
    assert found["package polars"].state == "stops"
    assert found["package polars"].remedy.startswith("pip install 'polars>=")


def test_versions_that_are_not_those_tested_are_named_but_stop_nothing(tmp_path: Path) -> None:
    other = tmp_path / "constraints.txt"
    other.write_text(f"# tested\nnumpy=={metadata.version('numpy')}\ntyper==0.0.1\nnobody-has-this==1.0\n")
    found = by_subject(packages.examine_packages(other))["versions"]
    assert found.state == "note"
    assert found.here == f"1 of 2 are not those tested: typer {metadata.version('typer')} (tested: 0.0.1)"


def test_a_build_for_one_kind_of_processor_is_the_version_that_was_tested(tmp_path: Path) -> None:
    (tmp_path / "constraints.txt").write_text(f"torch=={metadata.version('torch').partition('+')[0]}\n")
    assert by_subject(packages.examine_packages(tmp_path / "constraints.txt"))["versions"].state == "ok"


def test_what_each_extra_adds_is_said_of_every_extra() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert {*project["optional-dependencies"]} - {"dev"} == {*packages.EXTRAS}


def test_an_extra_that_is_missing_stops_nothing_and_says_what_it_would_add(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages, "_version", told_versions(captum=None))
    found = by_subject(packages.examine_packages(CONSTRAINTS))["extra explain"]
    assert (found.state, found.here) == ("ok", "not installed (captum)")
    assert found.remedy == "It would add mm explain: pip install 'megamodeller[explain]'"


def test_a_checkout_that_nobody_installed_needs_what_its_pyproject_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata, "distribution", not_installed)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    always, extras = packages._requirements()
    assert always == [Requirement(line) for line in project["dependencies"]]
    assert extras.keys() == packages.EXTRAS.keys()


def test_a_checkout_that_nobody_installed_tells_its_version_with_a_mark(
    run_mm: RunMm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metadata, "distribution", not_installed)
    assert run_mm("--version").stdout == f"mm {VERSION}+checkout\n"


def test_a_module_of_another_package_stops_every_command_and_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = SimpleNamespace(origin=None, submodule_search_locations=[str(tmp_path / "catalog")])
    ours = modules.find_spec
    monkeypatch.setattr(modules, "find_spec", lambda name: spec if name == "catalog" else ours(name))
    found = by_subject(installation.examine_installation())
    assert (found["module catalog"].state, found["module catalog"].here) == ("stops", str(tmp_path / "catalog"))
    assert found["module cli"].state == "ok"


def test_a_study_on_a_file_system_without_locks_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(lock.fcntl, "flock", refuse)
    found = by_subject(folders.examine_folders(tmp_path))["locks"]
    assert found.state == "stops" and "has no file locks" in found.here and "mm --no-lock" in found.remedy


def test_locks_that_keep_nobody_out_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock.fcntl, "flock", lambda *_: None)  # this process holds none, and believes that it does
    found = by_subject(folders.examine_folders(tmp_path))["locks"]
    assert found.state == "stops" and "to two processes at once" in found.here
    monkeypatch.undo()
    assert fcntl.flock is lock.fcntl.flock
    assert by_subject(folders.examine_folders(tmp_path))["locks"].state == "ok"


def test_a_folder_that_cannot_be_written_to_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(folders.tempfile, "TemporaryDirectory", refuse)
    found = by_subject(folders.examine_folders(tmp_path / "study"))["study"]
    assert found.state == "stops"
    assert found.here == f"{tmp_path}, where study would be made: Read-only file system"


def test_little_space_is_a_note(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folders.shutil, "disk_usage", lambda _: SimpleNamespace(free=1 << 20))
    found = by_subject(folders.examine_folders(tmp_path))
    assert found["study"].state == found["temporary files"].state == "note"
    assert "TMPDIR" in found["temporary files"].remedy


def test_the_file_system_is_that_of_the_innermost_mount(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kinds = {"/": "ext4", str(tmp_path): "nfs4", str(tmp_path / "other"): "tmpfs"}
    mounts = [SimpleNamespace(mountpoint=path, fstype=kind) for path, kind in kinds.items()]
    monkeypatch.setattr(folders.psutil, "disk_partitions", lambda **_: mounts)
    assert folders.file_system_of(tmp_path / "study") == "nfs4"
    assert folders.file_system_of(Path("/")) == "ext4"


@pytest.mark.parametrize(
    ("driver", "cuda", "state", "remedy"),
    [
        (False, None, "ok", ""),
        (True, None, "note", "build of PyTorch for CUDA"),
        (True, "13.0", "note", "--gpus all (Docker) or --nv (Apptainer)"),
    ],
)
def test_why_there_is_no_gpu_is_told(
    driver: bool, cuda: str | None, state: str, remedy: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "_NVIDIA_DRIVER", tmp_path if driver else tmp_path / "none")
    monkeypatch.setattr(machine.shutil, "which", lambda _: None)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.version, "cuda", cuda)
    found = by_subject(machine.examine_machine(2))["device"]
    assert found.state == state and remedy in found.remedy


def test_every_gpu_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    properties = SimpleNamespace(name="A100", total_memory=80 << 30)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: properties)
    found = by_subject(machine.examine_machine(2))
    assert found["cuda:0"].here == found["cuda:1"].here == "A100, 80 GiB"


def test_a_gpu_that_does_not_answer_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: int) -> None:
        raise RuntimeError("CUDA error: all CUDA-capable devices are busy or unavailable\nCompile with TORCH_USE")

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "get_device_properties", fail)
    found = by_subject(machine.examine_machine(2))["cuda:0"]
    assert found.state == "stops" and found.here.endswith("devices are busy or unavailable")


def test_shared_memory_that_cannot_be_used_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(semaphores, "get_context", lambda _: SimpleNamespace(Lock=fail))
    found = by_subject(machine.examine_machine(2))["shared memory"]
    assert found.state == "stops" and "--shm-size" in found.remedy


def test_little_memory_is_a_note(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "available_bytes", lambda: 1 << 30)
    assert by_subject(machine.examine_machine(2))["memory"].state == "note"
