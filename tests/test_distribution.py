"""What pip installs: the wheel and the sdist hold all that is needed, and mm works from them beside other packages."""

import json
import os
import shutil
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

from mmbase.modules import MODULES
from mmbase.version import DISTRIBUTION, VERSION
from tests.conftest import MakeOnce

ROOT = Path(__file__).parents[1]
SOURCES = ("LICENSE", "README.md", "constraints.txt", "pyproject.toml", "cli.py", *(set(MODULES) - {"cli"}))
NOT_SOURCES = shutil.ignore_patterns("__pycache__", "*.pyc")


def run(*words: object, cwd: Path | None = None, **variables: str) -> "subprocess.CompletedProcess[str]":
    """Run a program that sees nothing of this checkout, but for what variables of the environment say."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | variables
    command = list(map(str, words))
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300, cwd=cwd, env=environment)


def data_files() -> set[str]:
    """Return the files of our packages that are no code: what a wheel forgets unless it is told."""
    packages = [ROOT / name for name in MODULES if name != "cli"]
    files = [path for package in packages for path in package.rglob("*") if path.is_file()]
    return {str(path.relative_to(ROOT)) for path in files if path.suffix not in {".py", ".pyc"}}


@pytest.fixture(scope="session")
def built(make_once: MakeOnce) -> Path:
    """The folder with the sdist, and the wheel that was built from the sdist alone."""

    def build(folder: Path) -> None:
        clone = folder / "clone"
        clone.mkdir()
        for name in SOURCES:
            path = ROOT / name
            if path.is_dir():
                shutil.copytree(path, clone / name, ignore=NOT_SOURCES, symlinks=True)
            else:
                shutil.copy(path, clone)
        built = run(sys.executable, "-m", "build", "--no-isolation", "--outdir", folder / "dist", clone, cwd=folder)
        assert built.returncode == 0, built.stdout + built.stderr

    return make_once("distribution", build) / "dist"


@pytest.fixture(scope="session")
def environment(make_once: MakeOnce, built: Path) -> Path:
    """An environment with the wheel, which sees the libraries of this one. Tests must not change it."""

    def fill(folder: Path) -> None:
        install(folder / "environment", built)

    return make_once("environment", fill) / "environment"


def install(root: Path, built: Path) -> None:
    venv.create(root, symlinks=True)
    libraries = [path for path in sys.path if path.endswith("site-packages")]
    site_packages(root).joinpath("libraries.pth").write_text("\n".join(libraries))
    (wheel,) = built.glob("*.whl")
    pip = [sys.executable, "-m", "pip", "--python", root / "bin" / "python", "install", "--no-deps", "--no-index"]
    installed = run(*pip, "--quiet", "--force-reinstall", wheel)
    assert installed.returncode == 0, installed.stderr


def site_packages(root: Path) -> Path:
    (found,) = root.glob("lib/python*/site-packages")
    return found


def doctor(root: Path, cwd: Path, **variables: str) -> dict[str, dict[str, str]]:
    result = run(root / "bin" / "mm", "doctor", "--json", cwd=cwd, **variables)
    return {finding["subject"]: finding for finding in json.loads(result.stdout)["findings"]}


def test_the_wheel_is_named_after_the_distribution_and_has_the_version_of_the_code(built: Path) -> None:
    assert sorted(path.name for path in built.iterdir()) == [
        f"{DISTRIBUTION}-{VERSION}-py3-none-any.whl",
        f"{DISTRIBUTION}-{VERSION}.tar.gz",
    ]


def test_the_wheel_has_every_data_file_and_nothing_of_the_tests(built: Path) -> None:
    (wheel,) = built.glob("*.whl")
    held = set(zipfile.ZipFile(wheel).namelist())
    assert len(data_files()) > 30
    licences = {name.partition(".dist-info/licenses/")[2] for name in held if "/licenses/" in name}
    vendored = {name for name in data_files() if name.endswith(".LICENSE")}
    assert licences == {"LICENSE", *vendored} and len(vendored) == 2
    assert data_files() - held == set()
    assert {name.partition("/")[0].removesuffix(".py") for name in held} == {
        *MODULES,
        f"{DISTRIBUTION}-{VERSION}.dist-info",
    }


def test_mm_works_from_the_wheel(environment: Path, tmp_path: Path) -> None:
    mm = environment / "bin" / "mm"
    assert run(mm, "--version", cwd=tmp_path).stdout == f"mm {VERSION}\n"
    words = ("--participants", 4, "--voxel-mm", 4, "--workers", 0)
    made = run(mm, "synth", "ukb", "release", *words, cwd=tmp_path)
    assert made.returncode == 0, made.stderr
    found = doctor(environment, tmp_path)
    assert found["mm"]["here"] == f"{VERSION} in {site_packages(environment)}"
    assert {found[f"module {name}"]["state"] for name in MODULES} == {"ok"}
    assert "files of mm" not in found


def test_beside_a_package_that_python_finds_first_mm_says_which_and_where(environment: Path, tmp_path: Path) -> None:
    (tmp_path / "cli.py").write_text("app = print\n")
    refused = run(environment / "bin" / "mm", "status", PYTHONPATH=str(tmp_path))
    assert (refused.returncode, refused.stdout) == (1, "")
    assert f"it finds {tmp_path}/cli.py before " in refused.stderr and refused.stderr.count("\n") == 1


def test_beside_another_catalog_only_the_doctor_works_and_tells_of_it(environment: Path, tmp_path: Path) -> None:
    (tmp_path / "catalog").mkdir()
    (tmp_path / "catalog" / "__init__.py").touch()
    refused = run(environment / "bin" / "mm", "status", PYTHONPATH=str(tmp_path))
    assert refused.returncode == 1 and "Python does not load the catalog of mm" in refused.stderr
    found = doctor(environment, tmp_path, PYTHONPATH=str(tmp_path))["module catalog"]
    assert (found["state"], found["here"]) == ("stops", f"{tmp_path}/catalog/__init__.py")


def test_a_package_that_overwrote_files_of_ours_is_found(built: Path, tmp_path: Path) -> None:
    root = tmp_path / "environment"
    install(root, built)
    packages = site_packages(root)
    (packages / "catalog" / "__init__.py").write_text("version = 3\n")
    stranger = packages / "stranger-1.0.dist-info"
    stranger.mkdir()
    (stranger / "METADATA").write_text("Metadata-Version: 2.1\nName: stranger\nVersion: 1.0\n")
    (stranger / "RECORD").write_text("catalog/__init__.py,,\n")
    (stranger / "top_level.txt").write_text("catalog\n")
    found = doctor(root, tmp_path)
    assert found["files of mm"]["state"] == "stops" and "catalog/__init__.py" in found["files of mm"]["here"]
    assert found["package stranger"]["here"] == "it installs catalog too"
    (packages / "cli.py").write_text("main = print\n")
    refused = run(root / "bin" / "mm", "doctor", cwd=tmp_path)
    assert refused.returncode == 1 and "cli.py is not that of mm" in refused.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_can_complete_commands(environment: Path, shell: str, tmp_path: Path) -> None:
    asked = {"_MM_COMPLETE": f"complete_{shell}", "COMP_WORDS": "mm precom", "COMP_CWORD": "1"}
    asked |= {"_TYPER_COMPLETE_ARGS": "mm precom", "_TYPER_COMPLETE_FISH_ACTION": "get-args"}
    completed = run(environment / "bin" / "mm", cwd=tmp_path, **asked)
    assert "precompute-augs" in completed.stdout
