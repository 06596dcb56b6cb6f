"""A study: a directory, its settings (`study.toml`) and its layout.

The settings are everything an ingest depends on. They are written once, with their explanations, when the study is
made; later only sources are added.
"""

import secrets
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, ClassVar

from pydantic import ConfigDict, TypeAdapter, ValidationError

from mmbase.errors import first_line
from mmbase.files import PRIVATE_FOLDER_MODE, draft_of, make_directory, write_text
from mmbase.json_text import join_faults, shortened
from mmbase.settings import STRICT, field_docstrings
from mmbase.suggestion import did_you_mean
from mmdata.augment.parameters import AugmentSettings
from mmdata.errors import StudyError
from mmdata.salt import find_weakness
from mmdata.store.schema import SCHEMA_VERSION, StudyLayout
from mmdata.study_toml import change_settings, explain_settings
from mmdata.volume.settings import ConnectivitySettings, IngestSettings, VolumeSettings

MAX_CONFIG_BYTES = 4 << 20
MAX_DEPTH = 20
"""Of tables and lists in `study.toml`; its own are four deep."""
MAX_SALT_BYTES = 64
"""Of a key of BLAKE2b, RFC 7693."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SplitSettings:
    """How participants are divided; by a keyed hash, so that nobody ever moves."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    val: float = 0.1
    """Share of participants for validation."""
    test: float = 0.1
    """Share of participants for the one test pass."""
    stratify: tuple[str, ...] = ()
    """Features of which every split gets its share, e.g. sex and age; numbers count by tenths of the cohort."""
    test_list: str = ""
    """File of one participant number a line: these are the test participants, and nobody else."""
    kinship: str = ""
    """File of pairs of relatives, as UK Biobank's ukb_rel: relatives go to the same split."""

    def __post_init__(self) -> None:
        if self.val <= 0 or self.test <= 0 or self.val + self.test >= 1:
            raise ValueError(f"val and test must be positive and leave a training share, got {self.val}, {self.test}")


@dataclass(frozen=True, kw_only=True, slots=True)
class StudyConfig:
    """Everything an ingest depends on."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    schema_version: int = SCHEMA_VERSION
    """Version of the study directory's layout."""
    salt: str = field(default_factory=lambda: secrets.token_hex(16), repr=False)
    """Secret key that turns identifiers into sample ids and splits. Never publish it, never change it."""
    seed: int = 1337
    """Seed of the augmented copies."""
    sources: tuple[str, ...] = ()
    """Folders that every ingest reads: UK Biobank's bulk files, or others behind bids: or folder:."""
    tables: tuple[str, ...] = ()
    """Tables of participants that every ingest reads beside those it finds in the sources."""
    volumes: VolumeSettings = field(default_factory=VolumeSettings)
    connectivity: ConnectivitySettings = field(default_factory=ConnectivitySettings)
    ingest: IngestSettings = field(default_factory=IngestSettings)
    splits: SplitSettings = field(default_factory=SplitSettings)
    augment: AugmentSettings = field(default_factory=AugmentSettings)
    train: dict[str, Any] = field(default_factory=dict)
    """Defaults of `mm train` for this study; an option on the command line comes first."""
    features: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Fields of this study beside UK Biobank's 25 targets, one table [features.NAME] for each: docs/labels.md."""

    def __post_init__(self) -> None:
        if len(self.salt) < 16 or len(self.salt.encode()) > MAX_SALT_BYTES:
            raise ValueError(f"salt must have at least 16 characters and at most {MAX_SALT_BYTES} bytes")


@dataclass(frozen=True, slots=True)
class Study:
    """An existing study."""

    layout: StudyLayout
    config: StudyConfig


_CONFIG_TYPE = TypeAdapter(StudyConfig)


def parse_config(settings: dict[str, Any], where: str) -> StudyConfig:
    """Validate settings read from a file or given as options.

    Raises
    ------
    StudyError
        Names each setting, what it may be, and what came.
    """
    version = settings.get("schema_version", SCHEMA_VERSION)
    if version != SCHEMA_VERSION:
        raise StudyError(f"{where} has schema_version {version}; this mm reads version {SCHEMA_VERSION}.")
    try:
        return _CONFIG_TYPE.validate_python(settings)
    except ValidationError as error:
        faults = [_told(fault, settings.get("salt")) for fault in error.errors()]
        raise StudyError(f"{where}: {join_faults(faults)}") from None  # what pydantic says has every value in it


def load_study(root: Path) -> Study:
    """Open the study in a directory.

    Raises
    ------
    StudyError
        There is none, or its settings cannot be used.
    """
    layout = StudyLayout(root.resolve())
    if not layout.config.exists():
        raise StudyError(f"{root} is not a study: it has no study.toml.", f"Make one with: mm --study {root} init")
    return Study(layout, parse_config(_read_settings(layout.config), str(layout.config)))


def _read_settings(path: Path) -> dict[str, Any]:
    remedy = "Mend it, or put it back from a backup: without its salt nobody can tell who is who."
    if path.stat().st_size > MAX_CONFIG_BYTES:
        raise StudyError(f"{path} has {path.stat().st_size:,} bytes, so it is no study.toml.", remedy)
    try:
        settings = tomllib.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise StudyError(f"{path} is not TOML: {first_line(error)}.", remedy) from error
    if _depth(settings) > MAX_DEPTH:
        raise StudyError(f"{path} has tables in tables {MAX_DEPTH} deep and more.", remedy)
    return settings


def _depth(settings: dict[str, Any]) -> int:
    """Return how many tables or lists lie in each other at most; no deeper than `MAX_DEPTH` is looked."""
    level: list[Any] = [settings]
    depth = 0
    while level and depth <= MAX_DEPTH:
        depth += 1
        inner = [value for part in level for value in (part.values() if isinstance(part, dict) else part)]
        level = [value for value in inner if isinstance(value, dict | list)]
    return depth


def create_study(root: Path, config: StudyConfig, text: str = "") -> Study:
    """Make a study directory with its explained settings.

    Parameters
    ----------
    text
        Of study.toml, where others explain their part of it; left out: `render_config`.

    Raises
    ------
    StudyError
        The salt is easy to guess, there is a study already, or the directory holds other things.
    """
    if weakness := find_weakness(config.salt):
        raise StudyError(
            f"The salt is easy to guess: {weakness}. Whoever guesses it knows which sample is which participant.",
            "Leave it out: mm draws one at random.",
        )
    layout = StudyLayout(root.resolve())
    if layout.config.exists():
        raise StudyError(f"{root} is a study already.")
    if root.exists() and (not root.is_dir() or set(root.iterdir()) - {root / draft_of(layout.config).name}):
        raise StudyError(f"{root} is not an empty directory.", "Choose a new directory for the study.")
    make_directory(layout.root)
    layout.root.chmod(PRIVATE_FOLDER_MODE)
    write_text(layout.config, text or render_config(config))  # before all else: with it the directory is a study
    for directory in (layout.receipts, layout.runs):
        make_directory(directory)
    return Study(layout, config)


def with_changes(study: Study, changes: Mapping[str, Mapping[str, str]]) -> Study:
    """Return the study with other settings of its sections ``ingest`` and ``splits``, which may change between ingests.

    Parameters
    ----------
    changes
        Section to setting to value.

    Raises
    ------
    StudyError
        A setting is not known or not valid.
    """
    if not any(changes.values()):
        return study
    settings = _CONFIG_TYPE.dump_python(study.config)
    for section, values in changes.items():
        settings[section] |= values
    return Study(study.layout, parse_config(settings, "the settings given"))


def save_changes(study: Study) -> None:
    """Write what an ingest may change of a study's settings to its file, keeping all else and its comments."""
    values = _CONFIG_TYPE.dump_python(study.config, mode="json")
    changes = {name: values[name] for name in ("sources", "tables", "ingest", "splits")}
    before = study.layout.config.read_text(encoding="utf-8")
    after = change_settings(before, changes)
    if after != before:
        write_text(study.layout.config, after)


def render_config(config: StudyConfig) -> str:
    """Return the text of `study.toml`: every setting under the sentence that explains it."""
    schema = _CONFIG_TYPE.json_schema()
    for section in _sections(config):
        described = schema if section is StudyConfig else schema["$defs"][section.__name__]
        for name, sentence in field_docstrings(section).items():
            described["properties"][name]["description"] = sentence
    return explain_settings(_CONFIG_TYPE.dump_python(config, mode="json"), schema)


def _sections(settings: Any) -> Iterator[type]:
    """Yield the types of a section and of all that lie in it."""
    yield type(settings)
    inner = (getattr(settings, setting.name) for setting in fields(settings))
    for value in filter(is_dataclass, inner):
        yield from _sections(value)


def _told(fault: Mapping[str, Any], salt: object) -> str:
    """Say what is wrong with a setting, and what came, unless that is a whole section or may be the salt."""
    name = ".".join(map(str, fault["loc"])) or "settings"
    if fault["type"] == "unexpected_keyword_argument":  # under a name that is mistyped may be anything
        return f"{name}: there is no such setting.{did_you_mean(str(fault['loc'][-1]), _known_names())}"
    came = shortened(fault["input"])
    if "salt" in fault["loc"] or isinstance(fault["input"], dict) or (salt and str(salt) in repr(fault["input"])):
        return f"{name}: {fault['msg']}"
    return f"{name}: {fault['msg']}, got {came}"


def _known_names() -> list[str]:
    """Return the names of all settings, without their sections."""
    schema = _CONFIG_TYPE.json_schema()
    sections = [schema, *schema["$defs"].values()]
    return list(dict.fromkeys(name for section in sections for name in section.get("properties", ())))
