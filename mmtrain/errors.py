"""What can go wrong in training, for the person at the keyboard."""

from mmbase.errors import MmError


class TrainError(MmError):
    """A setting, cohort or run that cannot be used; the message says what to do."""
