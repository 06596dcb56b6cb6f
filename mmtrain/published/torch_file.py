"""Read a file that `torch.save` has written, without running anything that it asks for.

Terms
-----
pickle   the part of the archive that says what it holds: a program of operations, some of which call functions.
global   a function or class that a pickle names.

Three things stand before the weights. The archive is looked at: its parts are whole, by their checksums, and stored as
they are, so none grows when it is read. The pickle's operations are listed, not carried out: a global that no
checkpoint needs, or an operation that finds globals another way, refuses the file. Then PyTorch reads it with
``weights_only``, which knows no other globals itself, and maps the tensors from the file, so that none can reach beyond
the file's end.

Source: Python's pickletools, and `torch.serialization`.
"""

import pickletools
import struct
import warnings
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mmbase.errors import first_line
from mmbase.input_files import require_regular
from mmbase.printable import printable, shown
from mmtrain.errors import TrainError

MAX_PICKLE_BYTES = 8 << 20
"""A checkpoint of 10,000 epochs has a pickle of 3 MB."""
MAX_TEXT = 512
"""Characters or bytes of one text in a pickle; the longest name of a parameter has 60."""
MAX_PARTS = 4096
"""Files in the archive; a checkpoint has one for each tensor, of which there are some 200 with the optimiser's."""
NUMPY_GLOBALS = ("numpy.core.multiarray scalar", "numpy._core.multiarray scalar", "numpy dtype")
"""What a NumPy scalar is made with, by NumPy 1 and 2."""
KNOWN_GLOBALS = frozenset(
    (
        *NUMPY_GLOBALS,
        "numpy.dtypes Float32DType",
        "numpy.dtypes Float64DType",
        "_codecs encode",
        "collections OrderedDict",
        "torch._utils _rebuild_tensor_v2",
        "torch._utils _rebuild_parameter",
        *(f"torch {number}Storage" for number in ("Float", "Double", "Half", "BFloat16", "Long", "Int")),
    )
)
"""All that a checkpoint's pickle may name."""
_OTHER_WAYS = frozenset(("STACK_GLOBAL", "INST", "OBJ", "NEWOBJ", "NEWOBJ_EX", "EXT1", "EXT2", "EXT4"))
"""Operations that `torch.save` does not write, and by which a pickle could name or make something else."""
_REMEDY = "Give a checkpoint as the reference study's trainer writes it, with torch.save."


def read_torch_file(path: Path) -> dict[Any, Any]:
    """Return the dictionary that a file of `torch.save` holds; its tensors lie in the file until they are copied.

    Raises
    ------
    TrainError
        It is no such file, or its pickle names a function or class that no checkpoint needs. Nothing of it was run.
    """
    try:
        if path.is_symlink():
            raise TrainError(f"{shown(path)} is a link.", "Give the file that it leads to.")
        num_bytes = require_regular(path).st_size
        _require_harmless(_read_pickle(path, num_bytes), shown(path))
        content = _load(path)
    except FileNotFoundError as error:
        raise TrainError(f"There is no file {shown(path)}.", "Give the path of a checkpoint.") from error
    except OSError as error:
        raise TrainError(f"{shown(path)} cannot be read: {error.strerror or first_line(error)}.", _REMEDY) from error
    if not isinstance(content, dict):
        raise TrainError(f"Expected a dictionary in {shown(path)}, got {type(content).__name__}.", _REMEDY)
    return content


def _read_pickle(path: Path, num_bytes: int) -> bytes:
    """Return the pickle of an archive, once all its parts are found to be whole and no larger than they lie there."""
    try:
        with zipfile.ZipFile(path) as archive:
            part = _find_pickle(archive.infolist(), shown(path), num_bytes)
            if archive.testzip() is not None:
                raise zipfile.BadZipFile
            return archive.read(part)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, ValueError, struct.error) as error:
        raise TrainError(
            f"{shown(path)} is no archive of torch.save, or it is damaged.",
            "Get another copy. A file of PyTorch before 1.6 is read by that and saved again.",
        ) from error


def _find_pickle(parts: Sequence[zipfile.ZipInfo], name: str, num_bytes: int) -> zipfile.ZipInfo:
    """Return the one pickle of an archive's parts; `num_bytes` are those of the whole file."""
    if len(parts) > MAX_PARTS or sum(part.file_size for part in parts) > num_bytes:
        raise TrainError(f"The parts of {name} are larger than the file.", _REMEDY)
    if any(part.compress_type != zipfile.ZIP_STORED for part in parts):
        raise TrainError(f"{name} is a compressed archive, which torch.save does not write.", _REMEDY)
    pickles = [part for part in parts if part.filename.count("/") == 1 and part.filename.endswith("/data.pkl")]
    if len(pickles) != 1:
        raise TrainError(f"{name} is an archive, but none of torch.save.", _REMEDY)
    if pickles[0].file_size > MAX_PICKLE_BYTES:
        raise TrainError(
            f"What {name} holds beside its tensors has {pickles[0].file_size:,} bytes; expected at most "
            f"{MAX_PICKLE_BYTES:,}.",
            _REMEDY,
        )
    return pickles[0]


def _require_harmless(pickle: bytes, name: str) -> None:
    """Refuse a pickle that names what no checkpoint needs, by looking at its operations alone."""
    for operation, argument in _operations(pickle, name):
        if operation in _OTHER_WAYS or (operation == "GLOBAL" and argument not in KNOWN_GLOBALS):
            what = printable(str(argument).replace(" ", "."))[:80] if operation == "GLOBAL" else f"the {operation} way"
            raise TrainError(
                f"{name} asks for {what}, which no checkpoint needs. It was not run, and nothing else of the file was.",
                "The file may do harm, or it is another project's: do not open it with other programs.",
            )
        if isinstance(argument, str | bytes | bytearray) and len(argument) > MAX_TEXT:
            raise TrainError(f"{name} holds a text of {len(argument):,} characters, where names are expected.", _REMEDY)


def _operations(pickle: bytes, name: str) -> Iterator[tuple[str, Any]]:
    try:
        for operation, argument, _ in pickletools.genops(pickle):
            yield operation.name, argument
    except (ValueError, UnicodeDecodeError) as error:
        raise TrainError(f"The pickle in {name} is damaged: {first_line(error)}.", "Get another copy.") from error


def _load(path: Path) -> Any:
    scalar: Any = np.float64(0).__reduce__()[0]  # the function has no public name
    allowed: list[Any] = [(scalar, name.replace(" ", ".")) for name in NUMPY_GLOBALS[:2]]
    allowed += [np.dtype, type(np.dtype(np.float32)), type(np.dtype(np.float64))]
    try:
        with torch.serialization.safe_globals(allowed), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of storages' older names
            return torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except Exception as error:  # whatever a damaged pickle makes PyTorch do
        if isinstance(error, MemoryError):
            raise
        raise TrainError(f"{shown(path)} cannot be read as a checkpoint: {first_line(error)[:200]}", _REMEDY) from error
