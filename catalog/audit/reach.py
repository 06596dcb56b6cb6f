"""What each check can find in a study of this size, so that its silence can be told from blindness."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from catalog.audit.ages import LATER_DAYS, TOLERATED_YEARS, WRONG_SHARE
from catalog.audit.agreement import num_agreements_needed
from catalog.audit.columns import ALMOST_CONSTANT, HALF_MISSING, MIN_ANSWERS, MIN_VALUES
from catalog.audit.confounds import LARGE_CRAMERS_V, LARGE_OMEGA_SQUARED, MOTION_CORRELATION
from catalog.audit.copied import MIN_COPIED, measure_samples
from catalog.audit.coverage import WELL_COVERED_SHARE
from catalog.audit.findings import percent
from catalog.audit.giveaways import GIVEAWAY_AUC, GIVEAWAY_CORRELATION, GIVEAWAY_MISSINGNESS
from catalog.audit.imbalance import CERTAIN_Z, IMBALANCED
from catalog.audit.scope import CENTRE, MAX_DRAWN, Scope
from catalog.audit.significance import BEYOND_CHANCE, least_chi_squared
from catalog.audit.splits import LARGE_MISSING_DIFFERENCE, LARGE_SHIFT, MIN_COMPARED, MIN_HELD_OUT
from catalog.audit.visits import LONG_GAP_DAYS
from mmbase.doubts import DOUBTS


@dataclass(frozen=True, kw_only=True, slots=True)
class Reach:
    """What the check behind some codes can find."""

    codes: tuple[str, ...]
    finds: str


def state_reach(scope: Scope) -> list[Reach]:
    """Return what every check can find among the samples of a scope."""
    return [
        Reach(codes=codes, finds=finds if isinstance(finds, str) else finds(scope)) for codes, finds in _REACHES.items()
    ]


def _copied(scope: Scope) -> str:
    _, measured = measure_samples(scope)
    needed = None if measured is None else num_agreements_needed(measured, least=MIN_COPIED)
    if measured is None or needed is None:
        return (
            f"nothing: among {scope.num_samples} samples it needs more measurements that tell people apart, at least "
            f"{MIN_COPIED}"
        )
    return (
        f"every pair of samples, copied to several people too, that shares at least {needed} of the "
        f"{measured.num_measurements} measurements that are compared, and more than half of those that both have; of "
        f"the {math.comb(scope.num_samples, 2)} pairs fewer than 1 in 100 studies has one by chance"
    )


def _relatives(scope: Scope) -> str:
    [(num_pairs,)] = scope.fetch("SELECT count(*) FROM relatives")
    return (
        f"every one of the {num_pairs} pairs of samples that the kinship tables relate"
        if num_pairs
        else ("nothing: no kinship table was read")
    )


def _shifts(scope: Scope) -> str:
    return _for_held_out(
        scope,
        lambda n, other_n: max(LARGE_SHIFT, BEYOND_CHANCE * math.sqrt(1 / n + 1 / other_n)),
        "a difference of means from {:.2g} standard deviations in {}",
    )


def _missing_otherwise(scope: Scope) -> str:
    return _for_held_out(
        scope,
        lambda n, other_n: 100 * max(LARGE_MISSING_DIFFERENCE, BEYOND_CHANCE * math.sqrt((1 / n + 1 / other_n) / 4)),
        "shares without a value that differ by {:.3g} points in {}",
    )


def _for_held_out(scope: Scope, least: Callable[[int, int], float], told: str) -> str:
    num_train = scope.splits["train"]
    large_enough = [split for split in ("val", "test") if min(num_train, scope.splits[split]) >= MIN_COMPARED]
    if not large_enough:
        return f"nothing: it needs {MIN_COMPARED} samples in training and in another split"
    return ", ".join(told.format(least(num_train, scope.splits[split]), split) for split in large_enough)


def _imbalance(scope: Scope) -> str:
    share = IMBALANCED + CERTAIN_Z * math.sqrt(IMBALANCED * (1 - IMBALANCED) / max(scope.num_samples, 1))
    return f"a rarer class of less than {percent(share)}" if share > 0 else "nothing: there are too few samples"


def _centres(scope: Scope) -> str:
    [(num_centres, n)] = scope.fetch(
        "SELECT count(DISTINCT value), count(*) FROM audit_value WHERE name = $name", name=CENTRE
    )
    if num_centres < 2:
        return "nothing: it needs the centres of samples, and two of them"
    chance = least_chi_squared(num_centres - 1) / n
    return (
        f"{percent(max(LARGE_OMEGA_SQUARED, chance))} of a target's variance between {num_centres} centres, or "
        f"Cramér's V from {max(LARGE_CRAMERS_V, math.sqrt(chance)):.2g}"
    )


def _motion(scope: Scope) -> str:
    n = min(scope.num_samples, MAX_DRAWN)
    least = math.tanh(BEYOND_CHANCE / math.sqrt(n - 3)) if n > 3 else 1.0
    return f"a correlation from {max(MOTION_CORRELATION, least):.2g}, over {n} samples drawn at random"


def _giveaways(scope: Scope) -> str:
    n = min(scope.num_samples, MAX_DRAWN)
    return (
        f"one column with |r| from {GIVEAWAY_CORRELATION:g} or AUC from {GIVEAWAY_AUC:g} over {n} samples drawn at "
        "random; not what several columns tell together"
    )


def _missing_giveaways(scope: Scope) -> str:
    n = min(scope.num_samples, MAX_DRAWN)
    return f"shares without a value that differ by {100 * GIVEAWAY_MISSINGNESS:g} points, over {n} drawn samples"


_REACHES: dict[tuple[str, ...], str | Callable[[Scope], str]] = {
    ("participant-in-two-splits", "withdrawn-participants"): "every one, at any size",
    ("relatives-in-two-splits",): _relatives,
    ("identical-scans", "similar-scans"): "every pair of scans of similarity 0.96 or more, at any size: mm audit "
    "compares all with all; not copies that were moved, smoothed or given much noise",
    tuple(doubt.code for doubt in DOUBTS): "every stored scan that was measured so: those of an earlier mm were not",
    ("duplicate-scans",): "every scan with the very same voxels as another, at any size",
    ("copied-participants",): _copied,
    ("copies-of-held-out-samples",): "every one that the receipts of copies name, at any size",
    ("recruitment-age",): f"an age that is field 21022, where 20 samples or more were scanned {LATER_DAYS} days after "
    "recruitment",
    ("age-against-birth-year",): f"every age that is more than {TOLERATED_YEARS:g} years off, where 20 samples have "
    f"age, year of birth and date of the scan; critical from {percent(WRONG_SHARE)}",
    ("label-of-another-visit",): "every value whose own visit is known and had a value, at any size",
    ("date-gap",): f"a median distance of more than {LONG_GAP_DAYS} days, where 20 values are dated",
    ("gives-target-away",): _giveaways,
    ("missingness-gives-target-away",): _missing_giveaways,
    ("impossible-values", "not-binary"): "every value outside `plausible`, and every answer that is not 0 or 1",
    ("constant-column", "almost-constant-column"): f"one value for all from {MIN_VALUES} values ({MIN_ANSWERS} answers "
    f"of yes or no), or for {percent(ALMOST_CONSTANT)} from {MIN_ANSWERS} values",
    ("constant-in-training",): f"every one, from {MIN_VALUES} training samples",
    ("missing-values", "no-values"): f"more than {percent(HALF_MISSING)} missing, from {MIN_VALUES} samples",
    ("class-imbalance", "rare-class"): _imbalance,
    ("centre-confounded",): _centres,
    ("target-follows-motion",): _motion,
    ("split-shift",): _shifts,
    ("split-missingness",): _missing_otherwise,
    ("small-split",): f"fewer than {MIN_HELD_OUT} samples",
    ("table-mismatch",): f"a table that names fewer than {percent(WELL_COVERED_SHARE)} of the participants with images",
}
