"""Open a ``.npy`` file that others made: its header is read, its numbers only where they are asked for.

Source: the format, https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html.
"""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


def open_numpy_file(path: Path) -> NDArray[Any]:
    """Return the array of a file, as it lies on the disk.

    Raises
    ------
    ValueError
        It is damaged, holds Python objects, or is no ``.npy`` file.
    OSError
        It cannot be read.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of headers that Python 2 wrote
            array: NDArray[Any] = np.lib.format.open_memmap(path, mode="r")
    except OSError:
        raise
    except Exception as error:  # a header is a Python literal: whatever its parser raises at one that makes no sense
        raise ValueError(f"it is {_what_it_is(path)}, not a numpy array of numbers or text") from error
    return array


def _what_it_is(path: Path) -> str:
    with path.open("rb") as file:
        return "an archive of arrays" if file.read(4) == b"PK\3\4" else "something else or damaged"
