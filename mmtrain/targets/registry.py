"""The kinds of targets by name."""

from mmtrain.config.data import Regression
from mmtrain.discovery import choices_in, load_choice
from mmtrain.errors import TrainError
from mmtrain.targets import kinds
from mmtrain.targets.protocol import TargetKind


def load_kind(name: str) -> type[TargetKind]:
    """Return a kind of target.

    Raises
    ------
    TrainError
        There is none of that name.
    """
    kind: type[TargetKind] = load_choice(kinds, name, "Kind", "kind of a target")
    return kind


def kind_of_definition(dictionary_kind: str, regression: Regression = "value") -> str:
    """Return the name of the kind that predicts what the field dictionary calls so.

    >>> kind_of_definition("binary"), kind_of_definition("continuous", "bins")
    ('classification', 'binned')

    Parameters
    ----------
    regression
        How values are learnt.

    Raises
    ------
    TrainError
        There is none.
    """
    known = [load_kind(name) for name in choices_in(kinds)]
    found = [kind for kind in known if kind.dictionary_kind == dictionary_kind]
    if not found:
        names = sorted({kind.dictionary_kind for kind in known})
        raise TrainError(f"Expected a target that is {' or '.join(names)}, got one that is {dictionary_kind}.")
    return next((kind.name for kind in found if kind.regression == regression), found[0].name)
