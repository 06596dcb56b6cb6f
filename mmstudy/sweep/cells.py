"""A cell of a sweep: one target from one set of inputs."""

from dataclasses import dataclass

from mmbase.names import INPUTS, METADATA


@dataclass(frozen=True, kw_only=True, slots=True)
class Cell:
    """One target from one set of inputs."""

    target: str
    inputs: tuple[str, ...]
    """In the order of `mmbase.names.INPUTS`."""
    blocks: tuple[str, ...] = ()
    """Groups of tabular features that the model sees; empty without the input metadata."""

    @property
    def name(self) -> str:
        """Return its name, which is a file's name too.

        >>> Cell(target="age", inputs=("flair", "t1")).name
        'age_flair-t1'
        >>> Cell(target="Hb", inputs=("t1", "metadata"), blocks=("constitutional",)).name
        'Hb_t1-metadata_constitutional'
        """
        return "_".join((self.target, "-".join(self.inputs), *(["-".join(self.blocks)] if self.blocks else [])))

    @property
    def volumes_and_connectivity(self) -> tuple[str, ...]:
        """Return the inputs that are read from stores."""
        return tuple(name for name in self.inputs if name != METADATA)


def ordered_inputs(names: frozenset[str]) -> tuple[str, ...]:
    """Return inputs in the order in which every cell has them."""
    return tuple(name for name in INPUTS if name in names)
