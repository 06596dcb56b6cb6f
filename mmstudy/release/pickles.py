"""Pickles, by how they begin: a file that runs code when it is opened, and holds whatever its writer had in memory.

Source: Python's pickle protocol, Lib/pickletools.py.
"""

import re

SUFFIXES = frozenset((".pkl", ".pickle", ".joblib", ".pt", ".pth", ".ckpt", ".dill", ".cloudpickle"))
_OPCODES = b"c}](l.Xqp\x8a\x8c\x94K"
"""That a pickle of protocol 2 or 3 begins with, behind the protocol; \\x8a is PyTorch's old form."""
_FRAME = 0x95
_OTHERS = (b"PK\x03\x04", b"{", b"#", b"version https://git-lfs")
"""What files with such an ending begin with that are no pickles, or that are known by more than their ending."""
_OLD = re.compile(rb"\((?:dp|lp|i)\d|c[\w.]+\n\w+\n|\(lp\d|\(dp\d")
_OPTIMISER = re.compile(rb"exp_avg|momentum_buffer|optimi[sz]er_state|(?<![a-z_])optimi[sz]er(?![a-z_])")


def is_pickle(head: bytes, suffix: str) -> bool:
    """Return whether a file begins as a pickle.

    >>> import pickle
    >>> is_pickle(pickle.dumps([1, 2]), ""), is_pickle(b"x,y", ".csv")
    (True, False)
    """
    if head[:1] == b"\x80" and head[1:2] in (b"\x04", b"\x05"):
        return head[2] == _FRAME or suffix in SUFFIXES
    if head[:2] in (b"\x80\x02", b"\x80\x03"):
        return head[2] in _OPCODES
    return suffix in SUFFIXES and (_OLD.match(head) is not None or not head.startswith(_OTHERS))


def tells_of_optimiser(content: bytes) -> bool:
    """Return whether names in a file are those of an optimiser's state."""
    return _OPTIMISER.search(content) is not None
