import dataclasses
import stat
import tomllib
from pathlib import Path
from typing import Any

import pytest
import tomlkit
from hypothesis import given, settings
from hypothesis import strategies as st

from mmdata.augment.parameters import AugmentSettings
from mmdata.errors import StudyError
from mmdata.study import (
    SplitSettings,
    Study,
    StudyConfig,
    create_study,
    load_study,
    parse_config,
    render_config,
    save_changes,
    with_changes,
)
from mmdata.volume.settings import ConnectivitySettings, VolumeSettings

SALT = "sesame-open-yourself"
OTHER = StudyConfig(
    salt=SALT,
    seed=3,
    sources=("/data/one", 'C:\\odd "name"'),
    tables=("/data/ukb.csv",),
    features={
        "grip": {"field": 46, "kind": "continuous", "unit": "kg", "recode": {"1": 0.5}},
        "fall": {"kind": "binary", "any_of": [{"field": 2296, "codes": [2, 3], "answers": True}]},
    },
    volumes=VolumeSettings(
        modalities=("dwi",), dwi_map="MD", sides=(96, 48), extent_mm=182.5, clamp_percentiles=(1, 99), dtype="float16"
    ),
    connectivity=ConnectivitySettings(enabled=False, fisher_z=True),
    splits=SplitSettings(
        val=0.2, test=0.3, stratify=("sex", "age"), test_list="/data/test.csv", kinship="/data/rel.dat"
    ),
    augment=AugmentSettings(sides=(48, 96), elastic_mm=0.0),
    train={"side": 48, "learning_rate": 3e-5},
)


@pytest.mark.parametrize("config", [StudyConfig(salt=SALT), OTHER], ids=["defaults", "other"])
def test_rendered_settings_are_read_back_equal(config: StudyConfig, tmp_path: Path) -> None:
    assert parse_config(tomllib.loads(render_config(config)), "here") == config
    create_study(tmp_path / "s", config)
    assert load_study(tmp_path / "s").config == config


@settings(max_examples=30, deadline=None)
@given(
    st.text(st.characters(codec="utf-8"), min_size=16, max_size=16), st.text(st.characters(codec="utf-8"), max_size=40)
)
def test_any_salt_and_source_survive_the_file(salt: str, source: str) -> None:
    try:
        config = StudyConfig(salt=salt, sources=(source,))
    except ValueError:
        assert len(salt.encode()) > 64
        return
    assert parse_config(tomllib.loads(render_config(config)), "here") == config


def test_every_setting_is_explained_in_the_line_above_it() -> None:
    text = render_config(StudyConfig(salt=SALT))
    start, end = text.index("noise = ", text.index("\n[augment.probabilities]")), text.index("[train]")
    lines = (text[:start] + text[end:]).splitlines()  # chances are explained once, under their heading
    named = [number for number, line in enumerate(lines) if " = " in line and not line.startswith("#")]
    assert len(named) == 51
    assert [lines[number] for number in named if not lines[number - 1].startswith("# ")] == []
    headings = [number for number, line in enumerate(lines) if line.startswith("[")]
    assert len(headings) == 8 and all(lines[number + 1].startswith("# ") for number in headings)


def test_two_studies_never_share_a_salt() -> None:
    assert StudyConfig().salt != StudyConfig().salt and len(StudyConfig().salt) == 32


BAD: list[tuple[dict[str, Any], str]] = [
    ({"nonsense": 1}, "nonsense"),
    ({"volumes": {"side": [64]}}, r"volumes\.side:"),
    ({"volumes": {"sides": []}}, "sides must fall"),
    ({"volumes": {"sides": [64, 128]}}, r"sides must fall.*got \(64, 128\)"),
    ({"volumes": {"sides": [64, 64]}}, r"sides must divide.*64, 64"),
    ({"volumes": {"sides": [64, 48]}}, r"sides must divide.*64, 48"),
    ({"volumes": {"sides": [128, 64, 4]}}, "at least 8"),
    ({"volumes": {"sides": [64.5]}}, r"volumes\.sides\.0.*64\.5"),
    ({"volumes": {"modalities": ["t2"]}}, r"volumes: .*modalities must name at least one of flair, t1, dwi.*'t2'"),
    ({"volumes": {"dwi_map": "fa"}}, r"volumes\.dwi_map.*'FA'.*got 'fa'"),
    ({"volumes": {"clamp_percentiles": [99, 1]}}, r"clamp_percentiles must rise.*99"),
    ({"volumes": {"clamp_percentiles": [0, 101]}}, "clamp_percentiles must rise"),
    ({"volumes": {"clamp_region": "skull"}}, r"volumes\.clamp_region"),
    ({"volumes": {"extent_mm": 0}}, "extent_mm"),
    ({"volumes": {"extent_mm": float("nan")}}, "extent_mm"),
    ({"volumes": {"extent_mm": float("inf")}}, "extent_mm"),
    ({"volumes": {"centre_mm": [0, float("nan"), 0]}}, "centre_mm"),
    ({"volumes": {"centre_mm": [0, 0]}}, r"volumes\.centre_mm"),
    ({"volumes": {"max_nonzero_share": 0}}, "max_nonzero_share"),
    ({"volumes": {"dtype": "int16"}}, r"volumes\.dtype.*got 'int16'"),
    ({"volumes": {"codec": "gzip"}}, r"volumes\.codec"),
    ({"volumes": {"rows_per_shard": 0}}, "rows_per_shard"),
    ({"connectivity": {"enabled": "perhaps"}}, r"connectivity\.enabled.*'perhaps'"),
    ({"splits": {"val": 0}}, "val and test must be positive"),
    ({"splits": {"val": 0.5, "test": 0.5}}, "val and test must"),
    ({"augment": {"probability": 1.5}}, r"probability must be 0 to 1, got 1\.5"),
    ({"augment": {"rotation_degrees": -1}}, "must be a number from 0"),
    ({"salt": "short"}, "salt must have"),
    ({"salt": "x" * 65}, "salt must have"),
    ({"salt": 5}, "salt"),
    ({"schema_version": 2}, "schema_version 2; this mm reads version 1"),
    ({"sources": "/data"}, "sources"),
]


@pytest.mark.parametrize(("wrong", "named"), BAD)
def test_bad_setting_is_refused_by_name(wrong: dict[str, Any], named: str) -> None:
    with pytest.raises(StudyError, match=named) as caught:
        parse_config({"salt": SALT, **wrong}, "study.toml")
    message = str(caught.value)
    assert message.startswith("study.toml")
    assert SALT not in message


@pytest.mark.parametrize("salt", ["hunter2", "y" * 70, ["hunter2"], {"a": "hunter2"}])
def test_a_wrong_salt_is_not_repeated(salt: object) -> None:
    with pytest.raises(StudyError) as caught:
        parse_config({"salt": salt}, "study.toml")
    assert "hunter2" not in str(caught.value) and "yyy" not in str(caught.value)


def test_salt_is_not_in_the_repr() -> None:
    assert SALT not in repr(StudyConfig(salt=SALT))


@pytest.mark.parametrize(
    "text", [f"salt = {SALT}\n", f'salt = "{SALT}\n', f'salt = "{SALT}"\nsalt = "{SALT}"\n', "\xff"]
)
def test_file_that_is_no_toml_is_refused_without_the_salt(tmp_path: Path, text: str) -> None:
    (tmp_path / "study.toml").write_bytes(text.encode("latin-1"))
    with pytest.raises(StudyError, match=r"study\.toml is not TOML") as caught:
        load_study(tmp_path)
    assert SALT not in str(caught.value)


def test_new_study_is_private(tmp_path: Path) -> None:
    create_study(tmp_path / "s", StudyConfig(salt=SALT))
    modes = {str(p.relative_to(tmp_path)): stat.S_IMODE(p.stat().st_mode) for p in (tmp_path / "s").rglob("*")}
    assert stat.S_IMODE((tmp_path / "s").stat().st_mode) == 0o700
    assert modes == {"s/study.toml": 0o600, "s/receipts": 0o700, "s/runs": 0o700}


def test_empty_directory_becomes_a_private_study(tmp_path: Path) -> None:
    (tmp_path / "s").mkdir()
    (tmp_path / "s").chmod(0o755)
    create_study(tmp_path / "s", StudyConfig(salt=SALT))
    assert stat.S_IMODE((tmp_path / "s").stat().st_mode) == 0o700


def test_everything_an_ingest_writes_is_private(study: Path) -> None:
    paths = [study, *study.rglob("*")]
    modes = {(path.is_dir(), stat.S_IMODE(path.stat().st_mode)) for path in paths}
    assert modes == {(True, 0o700), (False, 0o600)}


def test_occupied_places_are_refused(tmp_path: Path) -> None:
    config = StudyConfig(salt=SALT)
    create_study(tmp_path / "s", config)
    with pytest.raises(StudyError, match="is a study already"):
        create_study(tmp_path / "s", config)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("")
    with pytest.raises(StudyError, match="is not an empty directory"):
        create_study(tmp_path / "full", config)
    with pytest.raises(StudyError, match="is not an empty directory"):
        create_study(tmp_path / "full" / "thesis.txt", config)
    with pytest.raises(StudyError, match=r"is not a study.*mm --study .* init"):
        load_study(tmp_path / "nowhere")


def test_added_source_keeps_comments_and_other_settings(tmp_path: Path) -> None:
    study = create_study(tmp_path / "s", dataclasses.replace(OTHER, sources=()))
    path = study.layout.config
    path.write_text(path.read_text() + "\n# a note of mine\n")
    before = path.read_text()
    grown = dataclasses.replace(study.config, sources=("/data/b", "bids:/data/a"))
    save_changes(Study(study.layout, grown))
    assert load_study(tmp_path / "s").config == grown
    after = path.read_text()
    assert [line for line in before.splitlines() if line not in after.splitlines()] == ["sources = []"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_known_source_changes_no_byte(tmp_path: Path) -> None:
    study = create_study(tmp_path / "s", OTHER)
    before = study.layout.config.read_bytes()
    save_changes(study)
    assert study.layout.config.read_bytes() == before
    assert tomlkit.parse(before.decode())["sources"] == list(OTHER.sources)


def test_remedies_are_checked_and_may_change(tmp_path: Path) -> None:
    study = create_study(tmp_path / "s", StudyConfig(salt=SALT))
    changed = with_changes(study, {"ingest": {"brain_extractor": "strip {input} {output}", "register": "affine"}})
    save_changes(changed)
    assert load_study(tmp_path / "s").config.ingest == changed.config.ingest
    assert (changed.config.ingest.register, changed.config.ingest.min_template_overlap) == ("affine", 0.6)
    assert with_changes(study, {"ingest": {"brain_extractor": "deepbet"}}).config.ingest.brain_extractor == "deepbet"
    with pytest.raises(StudyError, match="brain_extractor must hold"):
        with_changes(study, {"ingest": {"brain_extractor": "strip"}})
    with pytest.raises(StudyError, match="register"):
        with_changes(study, {"ingest": {"register": "rigid"}})
