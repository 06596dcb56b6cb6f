"""The kinds of what must not be published, and what to do about each.

Terms
-----
mark       one thing that was seen in one file: where, and of which kind.
member     a file within a file: of an archive, or what a compressed file holds.

Nothing that a mark says is taken from what a file holds, but for names of files with whatever may be an eid hidden.
"""

from dataclasses import dataclass, replace
from enum import StrEnum


class Kind(StrEnum):
    """What was found; the name is what an exception states."""

    EID = "eid"
    EID_SHAPE = "eid-shape"
    SAMPLE_ID = "sample-id"
    ROWS = "rows"
    NOTEBOOK = "notebook-output"
    IMAGE = "image"
    ARRAY = "array"
    GENOTYPES = "genotypes"
    PICKLE = "pickle"
    OPTIMISER = "optimiser"
    DATABASE = "database"
    SALT = "salt"
    SECRET = "secret"
    UNREAD = "unread"


WHAT_TO_DO = {
    Kind.EID: "Remove it; from a repository's history too (git filter-repo). A number may be one by chance.",
    Kind.EID_SHAPE: "Remove it; from a repository's history too. Where it is nobody's, state an exception.",
    Kind.SAMPLE_ID: "Remove it: with the study's salt it tells who is meant.",
    Kind.ROWS: "Publish counts and means of ten people at least instead: mm export FILE.csv --summary-only.",
    Kind.NOTEBOOK: "Clear the outputs: jupyter nbconvert --clear-output --inplace NOTEBOOK.",
    Kind.IMAGE: "Remove it. Where it is a template or a mean of many people, state an exception.",
    Kind.ARRAY: "Remove it. Where it is of no single person, state an exception.",
    Kind.GENOTYPES: "Remove it: genotypes are of single people.",
    Kind.PICKLE: "Publish weights as safetensors (mm export-model): a pickle runs code and may hold anything.",
    Kind.OPTIMISER: "Publish the weights alone (mm export-model): optimiser state follows single batches.",
    Kind.DATABASE: "Remove it: a database holds rows of single people, deleted ones too.",
    Kind.SALT: "Remove it: with the salt every sample id can be traced. A published one means a new study.",
    Kind.SECRET: "Remove it, and revoke it where it was made: whoever has seen it can use it.",
    Kind.UNREAD: "Look into it yourself, or publish it in a form that can be read; then state an exception.",
}


@dataclass(frozen=True, slots=True)
class Mark:
    """One thing that was seen in a file."""

    kind: Kind
    what: str
    """In words, e.g. ``eid of a participant of the study``."""
    at: str = ""
    """Where in the file, e.g. ``line 12``; empty: the file as a whole."""
    members: tuple[str, ...] = ()
    """The way to a member, the outermost first."""

    def inside(self, member: str) -> "Mark":
        """Return the mark as it is seen from a file that holds the member."""
        return replace(self, members=(member, *self.members))
