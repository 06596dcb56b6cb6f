"""What can go wrong in training, for the person at the keyboard."""


class TrainError(Exception):
    """A setting, cohort or run that cannot be used; the message says what to do."""
