"""A user's mistake and a full disk are one line; a mistake of ours is not hidden."""

import errno
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from catalog.errors import CohortError
from mmbase.errors import MmError
from mmcli.commands import CommandGroup
from mmcli.failures import DISK_IS_FULL, FILE_IS_TOO_LARGE, explain
from mmdata.errors import StoreError
from mmtrain.errors import TrainError

Fails = Callable[[BaseException], Result]


@pytest.fixture
def run_failing() -> Fails:
    """Run a command that raises an error."""

    def run(error: BaseException) -> Result:
        app = typer.Typer(cls=CommandGroup, pretty_exceptions_enable=False)

        @app.command()
        def work() -> None:
            raise error

        @app.command()
        def other() -> None: ...

        return CliRunner().invoke(app, ["work"])

    return run


def raised_from(error: Exception, cause: Exception) -> Exception:
    """An error as it is when it was raised because of another."""
    try:
        raise error from cause
    except Exception as raised:
        return raised


def raised_while_handling(error: Exception, first: Exception) -> Exception:
    """An error as it is when it was raised while another was handled."""
    try:
        try:
            raise first
        except Exception:
            raise error  # noqa: B904 - that it has no cause is the point
    except Exception as raised:
        return raised


@pytest.mark.parametrize("error", [MmError, CohortError, StoreError, TrainError])
def test_errors_of_every_package_are_one_line(run_failing: Fails, error: type[Exception]) -> None:
    result = run_failing(error("Expected a row. Give one."))
    assert (result.exit_code, result.stderr) == (1, "error: Expected a row. Give one.\n")


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_known_by_its_number_wherever_it_was_met(run_failing: Fails, number: int) -> None:
    full = OSError(number, "Aucun espace disponible")
    wrapped = raised_from(RuntimeError("cannot write"), full)
    handled = raised_while_handling(KeyError("file"), full)
    for error in (full, wrapped, handled, raised_from(ValueError("deeper"), wrapped)):
        result = run_failing(error)
        assert (result.exit_code, result.stderr) == (1, f"error: {DISK_IS_FULL}\n")


def test_a_limit_on_the_size_of_files_is_told(run_failing: Fails) -> None:
    too_large = OSError(errno.EFBIG, "File too large")
    for error in (too_large, raised_from(RuntimeError("cannot write"), too_large)):
        result = run_failing(error)
        assert (result.exit_code, result.stderr) == (1, f"error: {FILE_IS_TOO_LARGE}\n")


def test_the_words_of_a_message_make_no_full_disk() -> None:
    assert explain(RuntimeError("No space left on device")) is None


def test_a_user_error_is_told_in_its_own_words_although_a_full_disk_caused_it() -> None:
    error = raised_from(StoreError("The volumes cannot be written."), OSError(errno.ENOSPC, "full"))
    assert explain(error) == "The volumes cannot be written."


def test_a_file_that_cannot_be_opened_is_named_without_an_eid() -> None:
    error = FileNotFoundError(errno.ENOENT, "No such file or directory", "/data/1000223_20252.zip")
    assert explain(error) == "No such file or directory: /data/…_20252.zip"


def test_ctrl_c_says_that_nothing_is_lost(run_failing: Fails) -> None:
    result = run_failing(KeyboardInterrupt())
    assert result.exit_code == 1
    assert result.stderr.startswith("error: Interrupted. ") and "run the same command again" in result.stderr


def test_a_mistake_of_ours_keeps_its_traceback(run_failing: Fails) -> None:
    result = run_failing(ZeroDivisionError("of ours"))
    assert isinstance(result.exception, ZeroDivisionError)


def test_a_rank_leaves_it_to_the_command_that_started_it_to_tell_the_user(
    run_failing: Fails, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "error.json"
    for name, value in {"TORCHELASTIC_RUN_ID": "x", "RANK": "1", "TORCHELASTIC_ERROR_FILE": str(file)}.items():
        monkeypatch.setenv(name, value)
    result = run_failing(OSError(errno.ENOSPC, "No space left on device"))
    assert (result.exit_code, result.output) == (1, "")
    assert DISK_IS_FULL in json.loads(file.read_text())["message"]["message"]


def test_errors_that_cause_each_other_end() -> None:
    first, second = RuntimeError("first"), RuntimeError("second")
    first.__cause__, second.__cause__ = second, first
    assert explain(first) is None
