"""What can go wrong with a catalogue; every message says what was expected, what came, and what to do."""

from mmbase.errors import MmError


class CatalogError(MmError):
    """Something the person at the keyboard can mend."""


class CatalogLockedError(CatalogError):
    """Another process is writing to the catalogue."""


class TableError(CatalogError):
    """A table of features cannot be used as it is."""


class DictionaryError(CatalogError):
    """A definition of a feature cannot be used as it is."""


class UnknownTargetError(CatalogError):
    """A target or block that the field dictionary does not know."""


class CohortError(CatalogError):
    """Too few samples have what a run asks for."""
