"""New people: who they are, which scans they have, and what tables say of them. Nothing of it is kept."""

import re
import secrets
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from catalog.database import Connection, open_scratch
from catalog.features import feature_columns
from catalog.fields import Dictionary, load_dictionary
from catalog.registration import StudyRules, register
from catalog.withdrawals import find_withdrawn_eids, read_withdrawals
from mmbase.names import AGE, MODALITIES, VOLUME_MODALITIES
from mmbase.records import EnrolledSample, FoundSources, ScanCandidate, Visit
from mmdata.ledger.receipts import read_samples
from mmdata.ledger.tombstones import read_withdrawal_receipts
from mmdata.study import Study, StudyConfig
from mmdata.volume.settings import ConnectivitySettings, IngestSettings, VolumeSettings
from mmstudy.models.contract import InputContract
from mmstudy.predict.samples import Sample

_SHARE = 0.1
"""Of the splits of the scratch catalogue, which nobody asks for."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Person:
    """One person at one visit, as the sources have them."""

    sample: Sample
    scans: Mapping[str, ScanCandidate] = field(repr=False)
    """By modality."""
    features: Mapping[str, float] = field(default_factory=dict, repr=False)
    """Those that tables give."""
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class FoundPeople:
    """Everybody in the sources, in the order of their identifiers there."""

    people: tuple[Person, ...]
    tables: tuple[Path, ...] = field(default=(), repr=False)
    """Those that their features were looked for in."""
    num_withdrawn: int = 0
    """Participants who are left out, for they have withdrawn."""
    num_not_understood: int = 0
    """Image files whose names say nothing that is understood."""

    def column(self, name: str) -> NDArray[np.float64]:
        """Return a feature of everybody, NaN where it is missing."""
        return np.array([person.features.get(name, np.nan) for person in self.people])


def source_config(contract: InputContract, ingest: IngestSettings) -> StudyConfig:
    """Return the settings by which a model's inputs are looked for and made.

    All volume modalities are looked for, so that somebody who lacks those of the model is told of.
    """
    volumes = contract.volumes or VolumeSettings()
    return StudyConfig(
        volumes=replace(volumes, modalities=VOLUME_MODALITIES),
        connectivity=contract.connectivity or ConnectivitySettings(enabled=False),
        ingest=ingest,
    )


def describe_images(images: Sequence[ScanCandidate]) -> FoundPeople:
    """Return the one person whose images were named one by one."""
    assumed = [image.modality for image in images if image.in_template_space]
    warnings = (f"assumed: {', '.join(assumed)} in MNI152 space, for nothing says otherwise",) if assumed else ()
    sample = Sample(name=_person_name(1), instance=images[0].visit.instance, participant="")
    person = Person(sample=sample, scans={image.modality: image for image in images}, warnings=warnings)
    return FoundPeople(people=(person,))


def enrol_people(
    found: FoundSources, tables: Sequence[Path], contract: InputContract, scratch: Path, study: Study | None
) -> FoundPeople:
    """Return everybody in the sources who has not withdrawn, with the features that tables give.

    Parameters
    ----------
    tables
        Beside those in the sources.
    scratch
        Private folder, where a table that does not fit in memory may lie meanwhile.
    study
        Names samples by its salt, and says who has withdrawn; None: there is none.

    Raises
    ------
    CatalogError, DataError
        A table or a withdrawal list cannot be used.
    """
    ukb_fields = load_dictionary()
    rules = StudyRules(
        salt=study.config.salt if study else secrets.token_hex(),
        val=_SHARE,
        test=_SHARE,
        modalities=tuple(MODALITIES),
        dictionary={AGE: ukb_fields[AGE], **(contract.fields or ukb_fields)},
        tables=tables,
    )
    in_study = read_samples(study.layout.receipts) if study else {}
    with open_scratch(scratch / "catalog.duckdb") as catalog:
        enrolment = register(
            catalog,
            found,
            rules,
            withdrawn_eids=find_withdrawn_eids(read_withdrawals(found.withdrawal_lists), catalog, found),
            withdrawn_keys=read_withdrawal_receipts(study.layout.receipts) if study else frozenset(),
            allocated=in_study,
        ).enrolment
        features = _read_features(catalog, enrolment.samples, rules.dictionary)
    return FoundPeople(
        people=tuple(_people_of(found, enrolment.samples, features, in_study, named=study is not None)),
        tables=tuple(dict.fromkeys([*found.tables, *tables])),
        num_withdrawn=enrolment.num_withdrawn,
        num_not_understood=sum(images.number for images in found.misnamed),
    )


def without_tables(found: FoundSources) -> FoundSources:
    """Return what was found but for its tables, for a model that sees none."""
    return replace(found, tables=(), visit_tables=())


def _people_of(
    found: FoundSources,
    enrolled: Mapping[Visit, EnrolledSample],
    features: Mapping[int, Mapping[str, float]],
    in_study: Mapping[str, EnrolledSample],
    *,
    named: bool,
) -> Iterator[Person]:
    """Yield everybody who is enrolled, with their scans.

    Parameters
    ----------
    features
        By row of the scratch catalogue.
    in_study
        By sample id, those whom the study has.
    named
        Whether the study's salt makes sample ids; otherwise people are counted.
    """
    scans: dict[Visit, dict[str, ScanCandidate]] = defaultdict(dict)
    for scan in found.scans:
        scans[scan.visit][scan.modality] = scan
    visits = [visit for visit in _in_order(scans, found.labels) if visit in enrolled]
    names = {visit: enrolled[visit].sample_id for visit in visits} if named else _names(visits)
    for visit in visits:
        name = names[visit]
        sample = Sample(
            name=name,
            instance=visit.instance,
            participant=found.labels.get(visit.eid, str(visit.eid)),
            row=in_study[name].row if name in in_study else None,
        )
        yield Person(sample=sample, scans=scans[visit], features=features[enrolled[visit].row])


def _read_features(
    catalog: Connection, samples: Mapping[Visit, EnrolledSample], dictionary: Dictionary
) -> dict[int, dict[str, float]]:
    """Return the features that tables give, by row and name."""
    rows = pl.Series("row", [sample.row for sample in samples.values()], pl.Int64)
    columns = list(feature_columns(catalog, rows, list(dictionary)))
    return {
        row: {column.name: float(column[index]) for column in columns if column[index] is not None}
        for index, row in enumerate(rows)
    }


def _in_order(visits: Mapping[Visit, object], labels: Mapping[int, str]) -> list[Visit]:
    """Return visits in the order of the source's identifiers: numbers by value, then others as text."""

    def key(visit: Visit) -> tuple[bool, int, str, int]:
        label = labels.get(visit.eid, str(visit.eid))
        is_number = re.fullmatch(r"\d+", label, re.ASCII) is not None
        return (not is_number, int(label) if is_number else 0, label, visit.instance)

    return sorted(visits, key=key)


def _names(visits: Sequence[Visit]) -> dict[Visit, str]:
    """Return a name for each person by their place in the order, the same at all visits."""
    places = {eid: place for place, eid in enumerate(dict.fromkeys(visit.eid for visit in visits), start=1)}
    return {visit: _person_name(places[visit.eid]) for visit in visits}


def _person_name(place: int) -> str:
    return f"person-{place:04}"
