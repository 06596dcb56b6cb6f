"""Errors of a check before something leaves."""

from mmbase.errors import MmError


class ReleaseError(MmError):
    """Something cannot be checked, or must not leave."""
