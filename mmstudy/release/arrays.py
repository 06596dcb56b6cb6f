"""Arrays: whether their shape is that of images or of connectivity of people, and whether they hold participants.

Terms
-----
volume     an array with three edges of sixteen voxels and more; weights of networks have kernels of seven at most.
"""

import json
import math
import re
import struct
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from mmstudy.release.columns import has_participant
from mmstudy.release.kinds import Kind, Mark
from mmstudy.release.people import People
from mmstudy.release.pickles import tells_of_optimiser
from mmstudy.release.stream import NotLookedIntoError, Readable, Stream

LEAST_SIDE = 16
_FEWEST_REGIONS = 21
"""Of connectivity: UK Biobank's smaller parcellation has 21."""
_UKB_EDGES, _LEAST_EDGES = (210, 1485), 1000
"""Of UK Biobank's parcellations, and of others: fewer are also the width of many an embedding."""
_MAX_LISTED = 50_000_000
"""Bytes of integers that are looked at one by one."""
_MAX_HEADER = 100 << 20
_GOLDEN = "golden/inputs.safetensors"
"""The made-up volumes of a bundle, `mmtrain.bundles.golden`."""
_COHORT, _OF_MANY = "training_cohort", (".mean", ".deviation")
"""How a bundle's file of what people trained on have in common says so, `mmstudy.models.cohort_file`."""
_INTEGERS = {"I64": "<i8", "I32": "<i4", "U64": "<u8", "U32": "<u4"}


def judge_shape(shape: Sequence[int]) -> str:
    """Return what an array of a shape may be of single people; empty for any other.

    >>> judge_shape((128, 128, 128)), judge_shape((500, 64620)), judge_shape((64, 32, 3, 3, 3))
    ('a volume', 'connectivity of several people', '')
    """
    is_edges = len(shape) == 2 and shape[0] > 1 and _are_edges(shape[1])
    is_matrices = len(shape) == 3 and shape[0] > 1 and shape[1] == shape[2] >= _FEWEST_REGIONS
    return judge_volume(shape) or ("connectivity of several people" if is_edges or is_matrices else "")


def judge_volume(shape: Sequence[int]) -> str:
    """Return what an array of a shape may be of images; empty for any other.

    >>> judge_volume((20, 64, 64, 64)), judge_volume((256, 64620))
    ('volumes', '')
    """
    if len(shape) < 3 or min(shape[-3:]) < LEAST_SIDE:
        return ""
    return "a volume" if len(shape) == 3 else "volumes"


def look_at_npy(stream: Stream, people: People | None) -> Iterator[Mark]:
    """Yield what an array of numpy tells of single people."""
    file = stream.rest()
    try:
        version = npy.read_magic(file)
        read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, _, number_type = read(file)
    except ValueError as error:
        raise NotLookedIntoError("it cannot be read as an array of numpy") from error
    if number_type.hasobject:
        yield Mark(Kind.PICKLE, "an array of pickled objects")
        return
    if what := judge_shape(shape):
        yield Mark(Kind.ARRAY, f"an array of the shape of {what}")
    num_bytes = math.prod(shape) * number_type.itemsize
    if number_type.kind in "iuf" and num_bytes <= _MAX_LISTED and len(shape) <= 2:
        yield from _people_in(
            np.frombuffer(file.read(num_bytes - num_bytes % number_type.itemsize), number_type), people
        )
    for _ in iter(lambda: file.read(1 << 20), b""):
        pass


def look_at_safetensors(stream: Stream, people: People | None, where: str) -> Iterator[Mark]:
    """Yield what a file of tensors tells of single people, and whether it holds an optimiser's state.

    Parameters
    ----------
    where
        The file's name with its folders.
    """
    file = stream.rest()
    (num_bytes,) = struct.unpack("<Q", file.read(8))
    header = json.loads(file.read(num_bytes))
    told = header.pop("__metadata__", {})
    if tells_of_optimiser("\n".join(header).encode()):
        yield Mark(Kind.OPTIMISER, "the state of an optimiser")
    shapes = {name: what for name, tensor in header.items() if (what := judge_volume(tensor["shape"]))}
    are_of_many = _COHORT in told and all(name.endswith(_OF_MANY) for name in shapes)
    if shapes and not are_of_many and not where.endswith(_GOLDEN):
        yield Mark(Kind.ARRAY, f"tensors of the shape of {min(shapes.values())}")
    ends = sorted((*tensor["data_offsets"], tensor["dtype"]) for tensor in header.values())
    position = 0
    for start, end, number_type in ends:
        position += _skip(file, start - position)
        if people is not None and number_type in _INTEGERS and end - start <= _MAX_LISTED:
            content = file.read(end - start)
            position += len(content)
            yield from _people_in(np.frombuffer(content, _INTEGERS[number_type]), people)
    for _ in iter(lambda: file.read(1 << 20), b""):
        pass


def is_safetensors(head: bytes) -> bool:
    """Return whether a file begins as one of tensors."""
    if len(head) < 10 or head[8:9] != b"{":
        return False
    (num_bytes,) = struct.unpack("<Q", head[:8])
    return 2 <= num_bytes <= _MAX_HEADER and bool(re.match(rb'\{\s*"', head[8:64]))


def look_at_zarr(content: bytes) -> Iterator[Mark]:
    """Yield what the description of a Zarr array tells of single people."""
    try:
        described = json.loads(content)
    except ValueError:
        return
    shape = described.get("shape") if isinstance(described, Mapping) else None
    if isinstance(shape, list) and all(isinstance(side, int) for side in shape) and (what := judge_shape(shape)):
        yield Mark(Kind.ARRAY, f"an array (Zarr) of the shape of {what}")


def _people_in(values: NDArray[Any], people: People | None) -> Iterator[Mark]:
    """Yield a mark where numbers are participants', or without a study a list of what looks like them."""
    if people is not None and has_participant(values, people):
        yield Mark(Kind.EID, "the eid of a participant of the study")
    elif values.dtype.kind in "iu" and 5 <= len(values) == len(np.unique(values)):
        steps = np.unique(np.diff(values.astype(np.int64)))
        if values.min() >= 1_000_000 and values.max() < 7_000_000 and len(steps) > 1:
            yield Mark(Kind.EID_SHAPE, "what looks like a list of participants' eids")


def _are_edges(number: int) -> bool:
    """Return whether so many edges join all pairs of some regions."""
    num_regions = (1 + math.isqrt(1 + 8 * number)) // 2
    is_triangle = num_regions * (num_regions - 1) // 2 == number
    return is_triangle and (number in _UKB_EDGES or number >= _LEAST_EDGES)


def _skip(file: Readable, num_bytes: int) -> int:
    left = num_bytes
    while left > 0 and (part := file.read(min(left, 1 << 20))):
        left -= len(part)
    return num_bytes - left
