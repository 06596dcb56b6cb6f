"""The root of all errors that a user can do something about, and what a message takes of others."""


class MmError(Exception):
    """Something that stops the work before it does harm, told to the person at the keyboard.

    Parameters
    ----------
    what_happened
        What was expected, what came, and where; whole sentences.
    what_to_do
        What to do next; empty where `what_happened` says it already.

    Examples
    --------
    >>> str(MmError("The study has no volumes at side 32.", "Add 32 to volumes.sides."))
    'The study has no volumes at side 32. Add 32 to volumes.sides.'
    """

    def __init__(self, what_happened: str, what_to_do: str = "") -> None:
        super().__init__(*([what_happened, what_to_do] if what_to_do else [what_happened]))
        self.what_happened = what_happened
        self.what_to_do = what_to_do

    def __str__(self) -> str:
        return f"{self.what_happened} {self.what_to_do}".strip()


def first_line(error: object) -> str:
    r"""Return the first line of what an error of a library says, for a message; its name where it says nothing.

    >>> first_line(ValueError("too short\nat byte 7")), first_line(KeyboardInterrupt())
    ('too short', 'KeyboardInterrupt')
    """
    return (str(error).splitlines() or [type(error).__name__])[0]
