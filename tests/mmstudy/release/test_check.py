"""Folders, repositories and what is staged are checked as a whole, with stated exceptions."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mmstudy.release.check import check_files, check_folder, check_history, check_staged, require_publishable
from mmstudy.release.errors import ReleaseError
from mmstudy.release.exceptions import FILE_NAME, parse_exceptions, read_exceptions
from mmstudy.release.folder import offer_contents
from mmstudy.release.kinds import WHAT_TO_DO, Kind
from mmstudy.release.stream import CHUNK_BYTES
from tests.documented import ROOT
from tests.mmstudy.release import planted

ROWS = b"eid,age\n1,60\n2,61\n3,62\n"
EXCEPTION = '[[exception]]\npath = "data/*"\nkinds = ["rows"]\nreason = "made up"\n'


@contextmanager
def quiet(what: str) -> Iterator["object"]:
    yield lambda done, total: None


def git(repository: Path, *words: str) -> str:
    identity = ("-c", "user.name=Somebody", "-c", "user.email=somebody@example.org", "-c", "init.defaultBranch=main")
    done = subprocess.run(["git", "-C", repository, *identity, *words], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def commit(repository: Path, message: str, **files: bytes) -> str:
    for name, content in files.items():
        (repository / name.replace("__", ".")).write_bytes(content)
    git(repository, "add", "--all")
    git(repository, "commit", "--quiet", "--allow-empty", "-m", message)
    return git(repository, "rev-parse", "HEAD")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    root = tmp_path / "repository"
    root.mkdir()
    git(root, "init", "--quiet")
    return root


def test_a_file_that_was_removed_is_found_in_the_commit_that_brought_it(repository: Path) -> None:
    commit(repository, "Begin", code__py=b"a = 1\n")
    guilty = commit(repository, "Add data", pheno__csv=ROWS)
    (repository / "pheno.csv").unlink()
    commit(repository, "Remove data")
    assert check_folder(repository, None, quiet).findings == ()
    (finding,) = check_history(repository, None, quiet).findings
    assert (finding.file, finding.commit, finding.kind) == ("pheno.csv", guilty, Kind.ROWS)


def test_branches_merges_tags_and_messages_are_looked_into(repository: Path) -> None:
    commit(repository, "Begin", a__txt=b"1\n")
    git(repository, "checkout", "--quiet", "-b", "side")
    commit(repository, "Side", a__txt=b"2\n")
    git(repository, "checkout", "--quiet", "main")
    commit(repository, f"Leave out {planted.EID}", a__txt=b"3\n")
    subprocess.run(["git", "-C", repository, "merge", "side"], capture_output=True, check=False)
    merge = commit(repository, "Merge", a__txt=f"{planted.SAMPLE}\n".encode())
    git(repository, "tag", "-a", "v1", "-m", f"without {planted.EID}")
    check = check_history(repository, planted.people(), quiet)
    assert {(finding.file, finding.kind) for finding in check.findings} == {
        ("a.txt", Kind.SAMPLE_ID),
        ("(commit message)", Kind.EID),
        ("(messages of tags)", Kind.EID),
    }
    assert {finding.commit for finding in check.findings if finding.file == "a.txt"} == {merge}


def test_of_what_is_staged_nothing_else_is_looked_at(repository: Path) -> None:
    commit(repository, "Begin", old__csv=ROWS)
    (repository / "new.csv").write_bytes(ROWS)
    (repository / "unstaged.csv").write_bytes(ROWS.replace(b"60", b"70"))
    git(repository, "rm", "--quiet", "old.csv")
    git(repository, "add", "new.csv")
    (repository / "new.csv").write_bytes(b"")  # what is staged counts, not what lies there now
    assert [finding.file for finding in check_staged(repository, None, quiet).findings] == ["new.csv"]


def test_an_exception_counts_as_it_is_staged(repository: Path) -> None:
    commit(repository, "Begin")
    (repository / "new.csv").write_bytes(ROWS)
    git(repository, "add", "new.csv")
    (repository / FILE_NAME).write_text(EXCEPTION.replace("data/*", "new.csv"))
    assert check_staged(repository, None, quiet).findings != ()
    git(repository, "add", FILE_NAME)
    assert check_staged(repository, None, quiet).findings == ()


def test_an_exception_excuses_its_kind_in_its_files_and_no_more(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "made.csv").write_bytes(ROWS)
    (tmp_path / "data" / "model.pkl").write_bytes(b"\x80\x02}q\x00.")
    (tmp_path / "real.csv").write_bytes(ROWS)
    (tmp_path / FILE_NAME).write_text(EXCEPTION)
    check = check_folder(tmp_path, None, quiet)
    assert [finding.file for finding in check.findings] == ["data/model.pkl", "real.csv"]
    assert [(finding.file, finding.reason) for finding in check.excused] == [("data/made.csv", "made up")]
    assert check.stale == ()


def test_an_exception_that_is_not_needed_is_told_of(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_text(EXCEPTION.replace('["rows"]', '["rows", "image"]'))
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "made.csv").write_bytes(ROWS)
    assert check_folder(tmp_path, None, quiet).stale == ("data/* (image)",)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[[exception]", "is not TOML"),
        (EXCEPTION.replace("rows", "raws"), "kinds"),
        (EXCEPTION.replace('reason = "made up"\n', ""), "reason"),
        (EXCEPTION.replace('"made up"', '""'), "reason"),
        (EXCEPTION + "until = 2030\n", "until"),
    ],
)
def test_exceptions_that_are_not_understood_are_refused(text: str, told: str) -> None:
    with pytest.raises(ReleaseError, match=told):
        parse_exceptions(text, "a file")


def test_exceptions_that_cannot_be_read_are_refused(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_bytes(b"\xff\xfe\xe9")
    with pytest.raises(ReleaseError, match="cannot be read"):
        check_folder(tmp_path, None, quiet)
    with pytest.raises(ReleaseError, match="cannot be read"):
        read_exceptions(tmp_path / "none.toml")


@pytest.mark.parametrize("num_rows", [3, 160])  # that are parsed whole, and that are too many for it
def test_a_table_whose_rows_are_longer_than_the_head_of_a_file_is_judged(tmp_path: Path, num_rows: int) -> None:
    names = ",".join(f"{field}-0.0" for field in range(30_000))
    rows = [f"{number + 1},{'0.5,' * 29_999}1" for number in range(num_rows)]
    (tmp_path / "ukb.csv").write_text("\n".join([f"eid,{names}", *rows]))
    (finding,) = check_folder(tmp_path, None, quiet).findings
    assert finding.kind == Kind.ROWS


@pytest.mark.parametrize("form", ["sha1", "sha256"])
def test_a_removed_file_is_looked_at_in_the_commit_that_brought_it_whatever_names_its_objects(
    tmp_path: Path, form: str
) -> None:
    git(tmp_path, "init", "--quiet", f"--object-format={form}")
    assert check_history(tmp_path, None, quiet).findings == ()  # without a commit
    commit(tmp_path, "Add data", pheno__csv=ROWS)
    (tmp_path / "pheno.csv").unlink()
    commit(tmp_path, "Remove data")
    assert [finding.kind for finding in check_history(tmp_path, None, quiet).findings] == [Kind.ROWS]


def test_what_may_be_an_eid_in_a_name_is_hidden(tmp_path: Path) -> None:
    (tmp_path / f"{planted.EID}.txt").write_text("moved")
    (finding,) = check_folder(tmp_path, planted.people(), quiet).findings
    assert (finding.file, finding.at) == ("….txt", "its name")


def test_links_pipes_and_the_folder_of_git_are_passed_over(tmp_path: Path, repository: Path) -> None:
    commit(repository, "Begin", pheno__csv=ROWS)
    outside = tmp_path / "outside.csv"
    outside.write_bytes(ROWS)
    (repository / "pheno.csv").unlink()
    (repository / "link.csv").symlink_to(outside)
    check = check_folder(repository, None, quiet)
    assert (check.findings, check.num_files) == ((), 0)


def test_a_number_is_found_wherever_the_pieces_of_a_file_are_cut(tmp_path: Path) -> None:
    wanted = f"x\nthe worst is {planted.EID} of all\n".encode()
    for shift in range(-24, 24):
        (tmp_path / f"at{shift}.txt").write_bytes(b"." * (CHUNK_BYTES - 24 + shift) + wanted + b"." * 3000)
    check = check_folder(tmp_path, planted.people(), quiet)
    assert [(finding.places, finding.at) for finding in check.findings] == [(1, "line 2")] * 48


def test_what_unpacks_without_end_is_given_up(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("mmstudy.release.look.MAX_UNPACKED_BYTES", 1 << 20)
    (tmp_path / "bomb.zip").write_bytes(planted.packed({f"{number}.txt": bytes(1 << 19) for number in range(5)}))
    (finding,) = check_folder(tmp_path, None, quiet).findings
    assert finding.kind == Kind.UNREAD and "more than can be looked into" in finding.what


def test_what_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ReleaseError, match="is not a folder"):
        check_folder(tmp_path / "none", None, quiet)
    with pytest.raises(ReleaseError, match="git cannot read"):
        check_history(tmp_path, None, quiet)


def test_what_mm_writes_is_refused_for_a_participant_and_not_for_a_computed_number() -> None:
    number, people = str(planted.EID).encode(), planted.people()
    require_publishable(offer_contents({"card.json": b'{"parameters": %b, "sizes": [%b]}' % (number, number)}), people)
    for content in (b'{"source": "/data/%b/T1"}' % number, b'{"name": "%b"}' % number, planted.SAMPLE.encode()):
        with pytest.raises(ReleaseError, match="must not leave"):
            require_publishable(offer_contents({"card.json": content}), people)


def test_each_kind_says_what_to_do_and_stands_on_the_page() -> None:
    page = (ROOT / "docs" / "release-check.md").read_text(encoding="utf-8")
    assert set(WHAT_TO_DO) == set(Kind)
    assert [kind for kind in Kind if f"| `{kind.value}` |" not in page] == []


def test_this_repository_has_no_finding_beyond_its_stated_exceptions() -> None:
    listed = subprocess.run(["git", "-C", ROOT, "ls-files", "-z"], capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("these files are in no repository")
    names = [name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]
    stated = parse_exceptions((ROOT / FILE_NAME).read_text(encoding="utf-8"), FILE_NAME)
    check = check_files(ROOT, names, None, quiet, stated)
    assert [(finding.file, finding.at, finding.what) for finding in check.findings] == []
    assert check.stale == ()
