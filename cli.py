"""The command line of mm: an application of all commands. What each does is in mmcli.

Exit codes: 0 done, 1 failed with what to do about it, 2 wrong usage.
"""

import os
from pathlib import Path

import typer

from mmbase.lock import NO_LOCK
from mmcli import ingest, sweep, synth, weights
from mmcli.bench import bench
from mmcli.catalogue import export, query
from mmcli.commands import Command, CommandGroup
from mmcli.compare import compare
from mmcli.console import warn
from mmcli.copies import precompute_augs
from mmcli.doctor import doctor
from mmcli.evaluate import evaluate
from mmcli.explain import explain
from mmcli.export_model import export_model
from mmcli.labels import audit, targets
from mmcli.machine import name_user, require_address_space, set_threads
from mmcli.options import NoLockOption, StudyOption, VersionOption
from mmcli.page import page
from mmcli.predict import predict
from mmcli.privacy import privacy
from mmcli.release_check import release_check
from mmcli.report import report
from mmcli.runs import runs
from mmcli.selftest import selftest
from mmcli.study import init, status
from mmcli.training import train
from mmcli.trust import qc, repair, verify
from mmcli.view import export_nifti, view
from mmcli.withdrawal import withdraw

PRIVATE_UMASK = 0o077
COMMANDS = (
    *(
        init,
        verify,
        repair,
        qc,
        view,
        export_nifti,
        precompute_augs,
        train,
        runs,
        compare,
        report,
        page,
        evaluate,
        explain,
    ),
    *(predict, privacy, export_model, release_check, bench, selftest, doctor),
    *(audit, withdraw, targets, query, export, status),
)
"""In the order of `mm --help`; a command is named after its function."""
GROUPS = {"synth": synth.app, "ingest": ingest.app, "sweep": sweep.app, "weights": weights.app}

app = typer.Typer(
    cls=CommandGroup,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for _command in COMMANDS:
    app.command(cls=Command)(_command)
for _name, _group in GROUPS.items():
    app.add_typer(_group, name=_name)


@app.callback()
def main(
    context: typer.Context,
    study: StudyOption = Path("study"),
    version: VersionOption = False,
    no_lock: NoLockOption = False,
) -> None:
    """Learn what can be predicted from what in very large brain-imaging cohorts."""
    os.umask(PRIVATE_UMASK)
    if no_lock:
        os.environ[NO_LOCK] = "1"
        warn("--no-lock: where the file system has no locks, two commands at once can destroy what the study holds.")
    require_address_space()
    set_threads()
    name_user()
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # spinning threads starve each other on shared cores
    context.obj = study


if __name__ == "__main__":
    app()
