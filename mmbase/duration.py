"""Times in the unit that people would use."""


def as_duration(seconds: float) -> str:
    """Return a time in the unit that people would use.

    >>> as_duration(0.2), as_duration(90), as_duration(7200)
    ('1 s', '1.5 min', '2.0 h')
    """
    if seconds < 60:
        return f"{max(1, round(seconds))} s"
    return f"{seconds / 60:.1f} min" if seconds < 3600 else f"{seconds / 3600:.1f} h"
