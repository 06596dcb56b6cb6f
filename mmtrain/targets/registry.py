"""The kinds of targets by name."""

from mmtrain.discovery import choices_in, load_choice
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
    """
    return next(name for name in choices_in(kinds) if load_kind(name).dictionary_kind == dictionary_kind)
