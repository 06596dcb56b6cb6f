"""Whether a table has a row for each person, or tells of many at once.

Terms
-----
key          a column that says whose a row is.
summary      a column of means, metrics and the like: with one, or with a count, rows are of groups or of models.

A table is judged by the names of its columns and by its first rows; a name alone is not believed.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise

from catalog.fields import FeatureDefinition, load_dictionary
from mmstudy.release.kinds import Kind, Mark
from mmstudy.release.people import People

MAX_JUDGED = 2000
"""Rows that a table is judged by."""
_KEYS = frozenset(
    (
        *("eid", "feid", "neid", "ukbeid", "participant", "participantid", "participantkey"),
        *("subject", "subjectid", "subjid", "sub", "subid", "patient", "patientid", "person", "personid", "personkey"),
        *("iid", "fid", "sampleid", "samplekey"),
    )
)
"""Names of keys, without what is no letter."""
_UNNAMED = frozenset(("", "id", "index", "unnamed0", "v1", "x1", "rownames", "key", "name"))
"""What programs call a column that nobody has named; without what is no letter or digit."""
_UKB_FIELD = re.compile(
    r"(?:f\.)?\d{1,6}[-.]\d{1,2}\.\d{1,3}|n_\d{1,6}_\d_\d"
    r"|(?:participant\.)?p(?:\d{3,6}|\d{2,6}_[ia]\d{1,3})(?:_a\d{1,3})?"
)
"""Of two digits, a name such as p50 may also be a percentile."""
_COUNT = re.compile(
    r"n|num|counts?|freq|frequency|people|participants|subjects"
    r"|(?:n|num)_(?:people|participants|subjects|samples|total|train|val|test|cases|controls)"
)
_SUMMARY = re.compile(
    r"mean|median|sd|std|se|r2|mae|rmse|auc|accuracy|f1|precision|recall|beta|coef|coefficient|estimate|pvalue|pval|epoch"
    r"|.*_(?:sd|std|se|pval|auc|mae|r2)"
)
"""Not what a table of people has too: a score, a mean over time, a count of cells."""
_TRUTHS = frozenset(("truth", "true", "ytrue", "actual", "observed", "measured", "label", "groundtruth", "target"))
_PREDICTIONS = frozenset(
    ("prediction", "predictions", "predicted", "pred", "ypred", "yhat", "yscore", "prob", "probability", "output")
)
_CODE = re.compile(r"(?=.*\d)[\w.\-]{1,64}")
_NUMBER = re.compile(r"-?\d+(?:\.\d*)?(?:[eE][-+]?\d+)?")
_EID = re.compile(r"[1-6]\d{6}(?:\.0)?")
_SEXES = frozenset(("0", "1", "2", "0.0", "1.0", "2.0", "m", "f", "male", "female"))
_RANGES = {"height": (80.0, 230.0)}
"""Of measures that the dictionary has no range of."""
_FEW, _MANY = 5, 10
"""Rows of a list of numbers, and of values of people, that are enough to be held back."""
_LEAST_SIZE = 50
_MOST = 0.9


@dataclass(frozen=True, slots=True)
class Table:
    """The beginning of a table."""

    columns: tuple[str, ...]
    """Their names; empty where it has none."""
    rows: Sequence[Sequence[str]]
    """At most `MAX_JUDGED`; a missing value is empty."""
    num_rows: int
    """Of the whole table."""

    def values(self, place: int) -> list[str]:
        """Return what a column says in the rows that are judged, without missing values."""
        return [row[place].strip() for row in self.rows if place < len(row) and row[place].strip()]


def judge_table(table: Table, people: People | None) -> list[Mark]:
    """Return what makes a table one of single people; nothing for one that tells of many at once.

    Parameters
    ----------
    people
        Of the study; None without one.
    """
    names = [re.sub(r"[^a-z0-9]", "", name.lower()) for name in table.columns]
    for judge in (_by_key, _by_list, _by_ids, _by_fields, _by_predictions, _by_features, _by_size):
        if mark := judge(table, names, people):
            return [mark]
    return []


def _by_key(table: Table, names: Sequence[str], people: People | None) -> Mark | None:
    """Find a column that is named as a key and holds codes, most of them different."""
    for place, name in enumerate(names):
        if name.strip("0123456789") not in _KEYS:
            continue
        values = table.values(place)
        if len(values) > 1 and _are(_CODE, values) and len(set(values)) > max(1, len(values) // 4):
            return _mark("a row for each participant", place)
    return None


def _by_list(table: Table, names: Sequence[str], people: People | None) -> Mark | None:
    """Find a list of participants: a column without a name, or an only one, of different numbers of seven digits."""
    for place in range(min(len(table.rows[0]) if table.rows else 0, 2)):
        values = table.values(place)
        if names and names[place] not in _UNNAMED:
            continue
        if len(values) >= _FEW and _are(_EID, values) and len(set(values)) == len(values) and not _are_steps(values):
            return Mark(Kind.EID_SHAPE, "what looks like a list of participants' eids", f"column {place + 1}")
    return None


def _by_ids(table: Table, names: Sequence[str], people: People | None) -> Mark | None:
    """Find a column of the study's own ids."""
    if people is None:
        return None
    for place in range(len(table.rows[0]) if table.rows else 0):
        if sum(map(people.has_id, table.values(place)[:_MANY])) > 1:
            return _mark("a row for each sample of the study", place)
    return None


def _by_fields(table: Table, names: Sequence[str], people: People | None) -> Mark | None:
    """Find columns that are named as UK Biobank's tables name fields."""
    found = [place for place, name in enumerate(table.columns) if _UKB_FIELD.fullmatch(name.strip())]
    if found and len(table.rows) > 1 and any(table.values(place) for place in found):
        return _mark("values of UK Biobank's fields for each participant", found[0])
    return None


def _by_predictions(table: Table, names: Sequence[str], people: People | None) -> Mark | None:
    """Find truth beside prediction."""
    truths = [place for place, name in enumerate(names) if name in _TRUTHS and _is_numeric(table, place)]
    predictions = [place for place, name in enumerate(names) if name in _PREDICTIONS and _is_numeric(table, place)]
    if truths and predictions and table.num_rows >= _MANY and not any(map(_COUNT.fullmatch, names)):
        return _mark("a prediction and the truth of each person", predictions[0])
    return None


def _by_features(table: Table, names: Sequence[str], people: People | None) -> Mark | None:
    """Find values of two features of people and more, with no column of counts, means or metrics beside them."""
    words = [re.sub(r"\W+", "_", name.strip().lower()).strip("_") for name in table.columns]
    if table.num_rows < _MANY or _is_matrix(table, words):
        return None
    if any(_COUNT.fullmatch(word) or _SUMMARY.fullmatch(word) for word in words):
        return None
    found = [place for place, word in enumerate(words) if _is_feature(word, table.values(place))]
    return _mark("values of single people", found[0]) if len(found) > 1 else None


def _by_size(table: Table, names: Sequence[str], people: People | None) -> Mark | None:
    """Find as many rows as the study has people, with a column that says of each row which it is."""
    if people is None or table.num_rows < _LEAST_SIZE or table.num_rows not in people.sizes:
        return None
    for place in range(len(table.rows[0]) if table.rows else 0):
        values = table.values(place)
        if len(values) == len(table.rows) and len(set(values)) == len(values):
            return _mark("as many rows as the study has participants, each with a key of its own", place)
    return None


def _mark(what: str, place: int) -> Mark:
    return Mark(Kind.ROWS, what, f"column {place + 1}")


def _are(pattern: re.Pattern[str], values: Sequence[str]) -> bool:
    return sum(pattern.fullmatch(value) is not None for value in values) >= _MOST * len(values)


def _are_steps(values: Sequence[str]) -> bool:
    """Return whether numbers grow by the same each time: positions, not people."""
    numbers = [int(float(value)) for value in values if _NUMBER.fullmatch(value)]
    return len({later - earlier for earlier, later in pairwise(numbers)}) == 1


def _is_numeric(table: Table, place: int) -> bool:
    values = table.values(place)
    return bool(values) and _are(_NUMBER, values)


def _is_matrix(table: Table, words: Sequence[str]) -> bool:
    """Return whether rows are named as columns are, as those of correlations."""
    firsts = {re.sub(r"\W+", "_", value.lower()).strip("_") for value in table.values(0)}
    return len(firsts & set(words)) > len(firsts) // 2 or table.num_rows == len(table.columns)


@cache
def _features() -> dict[str, FeatureDefinition | None]:
    known: dict[str, FeatureDefinition | None] = {name.lower(): one for name, one in load_dictionary().items()}
    return {"gender": known["sex"], "height": None, "age_at_scan": known["age"], "age_years": known["age"], **known}


def _is_feature(word: str, values: Sequence[str]) -> bool:
    """Return whether a column is named as a feature of people and holds what that can be."""
    features = _features()
    if word not in features or not values:
        return False
    if word in ("sex", "gender"):
        return all(value.lower() in _SEXES for value in values)
    if not _are(_NUMBER, values):
        return False
    numbers = [float(value) for value in values if _NUMBER.fullmatch(value)]
    feature = features[word]
    if feature is not None and feature.kind == "binary":
        return all(number in (0.0, 1.0, 2.0) for number in numbers)
    low, high = (feature.plausible if feature is not None else None) or _RANGES.get(word, (-1e9, 1e9))
    is_share = all(-1.0 <= number <= 1.0 for number in numbers)
    return not is_share and all(low <= number <= high for number in numbers)
