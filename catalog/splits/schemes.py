"""Who trains, validates and tests in one run: the study's own splits, one of several folds, or all centres but one.

A frame of samples here has a row for each sample of a run, with columns participant_key, founder (the participant of
the family who was enrolled first), split (the study's) and centre.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

import polars as pl

from catalog.errors import CohortError
from catalog.identity import fold_number

MIN_FOLDS = 3
"""One to test on, one to validate on, one to train on."""
UNKNOWN_CENTRE = "unknown-centre"
_HELD_OUT = (("test", "in-test"), ("val", "in-validation"))


@dataclass(frozen=True, slots=True)
class StudySplit:
    """The study's own splits."""

    def __str__(self) -> str:
        return "study"


@dataclass(frozen=True, slots=True)
class Fold:
    """One of several parts of the participants, families whole, tests; the next one validates, the others train."""

    number: int
    """From 1."""
    of: int

    def __post_init__(self) -> None:
        if self.of < MIN_FOLDS or not 1 <= self.number <= self.of:
            raise CohortError(
                f"There is no fold {self.number}/{self.of}. Expected K/N with at least {MIN_FOLDS} folds and K "
                "from 1 to N, e.g. 2/5: fold K tests, the next one validates, the others train."
            )

    def __str__(self) -> str:
        return f"fold-{self.number}/{self.of}"


@dataclass(frozen=True, slots=True)
class LeaveOutCentre:
    """The samples scanned at one assessment centre test; of the others, the study's validation split validates."""

    code: int
    """Of UK Biobank's field 54, e.g. 11025."""

    def __str__(self) -> str:
        return f"without-centre-{self.code}"


SplitScheme: TypeAlias = StudySplit | Fold | LeaveOutCentre


def parse_fold(text: str) -> Fold:
    """Return the fold that is written as ``K/N``.

    >>> parse_fold("2/5")
    Fold(number=2, of=5)

    Raises
    ------
    CohortError
        It is written otherwise, or there is no such fold.
    """
    match = re.fullmatch(r"\s*(\d{1,4})\s*/\s*(\d{1,4})\s*", text, re.ASCII)
    if not match:
        raise CohortError(f"The fold {text!r} is not written as expected: K/N, e.g. 2/5 for the second of five folds.")
    return Fold(int(match[1]), int(match[2]))


def choose_scheme(fold: str | None, centre: int | None) -> SplitScheme:
    """Return the scheme that a fold or a centre asks for, the study's own without either.

    Raises
    ------
    CohortError
        Both are asked for, or the fold is none.
    """
    if fold is not None and centre is not None:
        raise CohortError(
            "A run leaves out a fold or a centre, not both.", "Give one of --fold and --leave-out-centre."
        )
    if fold is not None:
        return parse_fold(fold)
    return StudySplit() if centre is None else LeaveOutCentre(centre)


def assign_splits(scheme: SplitScheme, samples: pl.DataFrame) -> pl.DataFrame:
    """Return the samples with the scheme's splits, and a column left_out: why a sample is in none, or null.

    Raises
    ------
    CohortError
        There is no sample of the centre.
    """
    match scheme:
        case StudySplit():
            return samples.with_columns(left_out=pl.lit(None, pl.String))
        case Fold():
            return _assign_folds(scheme, samples)
        case LeaveOutCentre():
            return _assign_centre(scheme, samples)


def leave_relatives_out(samples: pl.DataFrame, related: Iterable[tuple[str, str]]) -> pl.DataFrame:
    """Mark whoever must not be trained or validated on: relatives, and other visits, of those who are held out.

    Parameters
    ----------
    samples
        Columns participant_key, split and left_out.
    related
        Pairs of participant keys.
    """
    pairs = pl.DataFrame(list(related), schema={"one": pl.String, "other": pl.String}, orient="row")
    both_ways = pl.concat([pairs, pairs.select(one="other", other="one")])
    for split, reason in _HELD_OUT:
        inside = pl.col("left_out").is_null() & (pl.col("split") == split)
        people = samples.filter(inside)["participant_key"].unique()
        relatives = both_ways.filter(pl.col("other").is_in(people.implode()))["one"].unique()
        # test comes first: whoever is left out of validation on its account does not keep others out of training
        exposed = pl.col("left_out").is_null() & ~pl.col("split").is_in(["test", split])
        mark = (
            pl.when(~exposed)
            .then("left_out")
            .when(pl.col("participant_key").is_in(people.implode()))
            .then(pl.lit(f"other-visit-{reason}"))
            .when(pl.col("participant_key").is_in(relatives.implode()))
            .then(pl.lit(f"relatives-{reason}"))
        )
        samples = samples.with_columns(left_out=mark)
    return samples


def _assign_folds(scheme: Fold, samples: pl.DataFrame) -> pl.DataFrame:
    founders = samples["founder"].unique().to_list()
    splits = {scheme.number: "test", scheme.number % scheme.of + 1: "val"}
    split_of = {founder: splits.get(fold_number(founder, scheme.of), "train") for founder in founders}
    return samples.with_columns(
        split=pl.col("founder").replace_strict(split_of, return_dtype=pl.String), left_out=pl.lit(None, pl.String)
    )


def _assign_centre(scheme: LeaveOutCentre, samples: pl.DataFrame) -> pl.DataFrame:
    known = sorted(int(code) for code in samples["centre"].drop_nulls().unique())
    if scheme.code not in known and not samples.is_empty():  # of nobody, more is to be said than this
        found = (
            f"those are of {', '.join(map(str, known))}" if known else "no centre is known: it is field 54 of a table"
        )
        raise CohortError(f"No sample that this run can use was scanned at centre {scheme.code}; {found}.")
    return samples.with_columns(
        split=pl.when(pl.col("centre") == scheme.code)
        .then(pl.lit("test"))
        .when(pl.col("split") == "val")
        .then("split")
        .otherwise(pl.lit("train")),
        left_out=pl.when(pl.col("centre").is_null()).then(pl.lit(UNKNOWN_CENTRE)),
    )
