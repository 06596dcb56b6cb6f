"""Which cells a sweep has: the reference study's grid, or every target from each of one's own sets of inputs."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

from catalog.fields import REFERENCE_BLOCKS, Dictionary, block_names, find_target
from mmbase.names import CONNECTIVITY, INPUTS, METADATA
from mmbase.suggestion import did_you_mean
from mmstudy.sweep.cells import Cell, ordered_inputs
from mmtrain.errors import TrainError

CONSTITUTIONAL = REFERENCE_BLOCKS[0]
_IMAGING = ((), ("dwi",), ("flair", "t1"), ("flair", "t1", "dwi"))
"""The reference's sets of volumes; it never parts FLAIR from T1."""


@dataclass(frozen=True, slots=True)
class InputSet:
    """What a model is given: inputs, and groups of tabular features."""

    inputs: tuple[str, ...]
    blocks: tuple[str, ...] = ()


def reference_targets(dictionary: Dictionary) -> list[str]:
    """Return the targets of the reference study that a dictionary has."""
    return [name for name, of in dictionary.items() if of.target and of.block in REFERENCE_BLOCKS]


def reference_sets(domain: str) -> list[InputSet]:
    """Return the sets of inputs that the reference study trains targets of a domain from.

    Constitutional targets have the 7 sets without tabular features. The others have 8 sets, each with four sets of
    groups: constitutional alone, and with one or both of the two groups that are neither that nor the target's own.

    Source: Ruffle et al., NeuroImage 2024, doi 10.1016/j.neuroimage.2024.120600.
    """
    stored = [
        (*volumes, *edges) for edges, volumes in product(((), (CONNECTIVITY,)), _IMAGING)
    ]  # without connectivity first
    if domain == CONSTITUTIONAL:
        return [InputSet(inputs) for inputs in stored if inputs]
    first, second = (block for block in REFERENCE_BLOCKS if block not in (CONSTITUTIONAL, domain))
    blocks = [(CONSTITUTIONAL, *more) for more in ((), (first,), (second,), (first, second))]
    return [InputSet((*inputs, METADATA), shown) for inputs, shown in product(stored, blocks)]


def reference_cells(dictionary: Dictionary, targets: Sequence[str]) -> list[Cell]:
    """Return the cells of the reference's grid for some targets: 700 for its 25.

    Raises
    ------
    CatalogError
        A target is not known.
    TrainError
        A target belongs to none of the reference's groups, so the grid has no sets for it.
    """
    cells = []
    for target in targets:
        domain = find_target(dictionary, target).block
        if domain not in REFERENCE_BLOCKS:
            raise TrainError(
                f"The reference's grid has no sets of inputs for {target}, which belongs to "
                f"{domain or 'no group of features'}.",
                "Give sets of your own with --inputs, or input_sets in sweep.toml.",
            )
        cells += [Cell(target=target, inputs=of.inputs, blocks=of.blocks) for of in reference_sets(domain)]
    return cells


def own_cells(dictionary: Dictionary, targets: Sequence[str], sets: Sequence[InputSet]) -> list[Cell]:
    """Return every target from every set.

    Raises
    ------
    CatalogError
        A target is not known.
    """
    for target in targets:
        find_target(dictionary, target)
    return [Cell(target=target, inputs=of.inputs, blocks=of.blocks) for target in targets for of in sets]


def parse_input_set(dictionary: Dictionary, words: Sequence[str]) -> InputSet:
    """Return a set from the names of inputs and of groups of tabular features; a group brings the input metadata.

    Raises
    ------
    TrainError
        A name is neither, one comes twice, or metadata stands without a group.

    Examples
    --------
    >>> from catalog.fields import load_dictionary
    >>> parse_input_set(load_dictionary(), ["constitutional", "t1"])
    InputSet(inputs=('t1', 'metadata'), blocks=('constitutional',))
    """
    known = block_names(dictionary)
    names = [word.strip() for word in words]
    if unknown := [name for name in names if name not in (*INPUTS, *known)]:
        hint = did_you_mean(unknown[0], (*INPUTS, *known))
        raise TrainError(
            f"Expected a set of inputs ({', '.join(INPUTS[:-1])}) and groups of tabular features "
            f"({', '.join(known)}), got {unknown[0][:60]!r}.{hint}"
        )
    if not names or len(set(names)) != len(names):
        raise TrainError(f"Expected a set of different inputs, got {'+'.join(names) or 'none'}.")
    blocks = tuple(block for block in known if block in names)
    if METADATA in names and not blocks:
        raise TrainError(
            f"The set {'+'.join(names)} has metadata without saying which.", f"Name groups: {', '.join(known)}."
        )
    inputs = frozenset(name for name in names if name in INPUTS) | ({METADATA} if blocks else frozenset())
    return InputSet(ordered_inputs(inputs), blocks)
