"""The packages that mm needs, as far as they are here, and what each extra would add."""

import tomllib
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.version import Version

from mmbase.modules import HOME
from mmbase.version import DISTRIBUTION
from mmstudy.doctor.finding import Finding

EXTRAS = {
    "brain": "--brain-extractor deepbet of mm ingest and mm predict",
    "explain": "mm explain",
    "mlflow": "mm train --log mlflow:URI and mm runs --to-mlflow URI",
    "onnx": "the ONNX form of a model in mm export-model",
    "slurm": "--slurm of mm ingest, mm precompute-augs and mm sweep",
}
"""What each adds."""
_DEVELOPMENT = "dev"
_SHOWN = 4
"""Packages that are named of those that differ."""


def examine_packages(constraints: Path) -> Iterator[Finding]:
    """Yield what is missing or too old, what differs from the versions that were tested together, and the extras.

    Parameters
    ----------
    constraints
        Names and versions as pip takes them with ``--constraint``.
    """
    always, extras = _requirements()
    unmet = [requirement for requirement in always if not _is_met(requirement)]
    for requirement in unmet:
        version = _version(requirement.name)
        found = "not installed" if version is None else f"{version}, and mm needs {requirement.specifier}"
        yield Finding(f"package {requirement.name}", "stops", found, f"pip install '{requirement}'")
    if not unmet:
        yield Finding("packages", "ok", f"all {len(always)} that mm needs are here")
    yield _compare_with_tested(constraints)
    for extra, requirements in extras.items():
        yield _examine_extra(extra, requirements)


def _requirements() -> tuple[list[Requirement], dict[str, list[Requirement]]]:
    """Return what mm always needs and what each extra needs; of a checkout, as its pyproject.toml says."""
    try:
        distribution = metadata.distribution(DISTRIBUTION)
    except metadata.PackageNotFoundError:
        project = tomllib.loads((HOME / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        by_extra = {name: list(map(Requirement, lines)) for name, lines in project["optional-dependencies"].items()}
        always = list(map(Requirement, project["dependencies"]))
    else:
        every = list(map(Requirement, distribution.requires or ()))
        always = [requirement for requirement in every if _applies(requirement, "")]
        by_extra = {
            extra: [requirement for requirement in every if requirement not in always and _applies(requirement, extra)]
            for extra in distribution.metadata.get_all("Provides-Extra") or ()
        }
    return always, {extra: needed for extra, needed in by_extra.items() if extra != _DEVELOPMENT}


def _applies(requirement: Requirement, extra: str) -> bool:
    return requirement.marker is None or requirement.marker.evaluate({"extra": extra})


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _is_met(requirement: Requirement) -> bool:
    version = _version(requirement.name)
    return version is not None and requirement.specifier.contains(version, prereleases=True)


def _compare_with_tested(constraints: Path) -> Finding:
    lines = constraints.read_text(encoding="utf-8").splitlines()
    tested = dict(line.split("==") for line in lines if not line.startswith("#"))
    here = {name: version for name in tested if (version := _version(name)) is not None}
    other = [name for name, version in here.items() if Version(version).public != Version(tested[name]).public]
    if not other:
        return Finding("versions", "ok", f"all {len(here)} are those that were tested together")
    named = ", ".join(f"{name} {here[name]} (tested: {tested[name]})" for name in other[:_SHOWN])
    more = ", …" if len(other) > _SHOWN else ""
    remedy = f"If something fails: pip install --constraint {constraints} PACKAGE"
    return Finding("versions", "note", f"{len(other)} of {len(here)} are not those tested: {named}{more}", remedy)


def _examine_extra(extra: str, requirements: list[Requirement]) -> Finding:
    missing = [requirement.name for requirement in requirements if not _is_met(requirement)]
    adds = EXTRAS[extra]
    if not missing:
        return Finding(f"extra {extra}", "ok", f"installed: {adds}")
    found = f"not installed ({', '.join(missing)})"
    return Finding(f"extra {extra}", "ok", found, f"It would add {adds}: pip install '{DISTRIBUTION}[{extra}]'")
