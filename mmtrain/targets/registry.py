"""The kinds of targets by name."""

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


def kind_of_definition(dictionary_kind: str) -> str:
    """Return the name of the kind that predicts what the field dictionary calls so.

    >>> kind_of_definition("binary")
    'classification'

    Raises
    ------
    TrainError
        There is none.
    """
    found = {load_kind(name).dictionary_kind: name for name in choices_in(kinds)}
    if dictionary_kind not in found:
        raise TrainError(f"Expected a target that is {' or '.join(found)}, got one that is {dictionary_kind}.")
    return found[dictionary_kind]
