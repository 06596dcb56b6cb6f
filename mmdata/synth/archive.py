"""Zip archives that are the same bytes whenever they are written."""

import io
import zipfile
from collections.abc import Mapping

_EPOCH = (1980, 1, 1, 0, 0, 0)
_UNIX = 3
_FILE_MODE = 0o644 << 16


def zip_bytes(members: Mapping[str, bytes]) -> bytes:
    """Return a zip archive, its members in the given order; what is gzipped already is stored."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in members.items():
            info = member_info(name)
            info.compress_type = zipfile.ZIP_STORED if name.endswith(".gz") else zipfile.ZIP_DEFLATED
            archive.writestr(info, content)
    return buffer.getvalue()


def member_info(name: str) -> zipfile.ZipInfo:
    """Return what an archive says of a member, apart from its content: nothing of today or of this machine."""
    info = zipfile.ZipInfo(name, _EPOCH)
    info.create_system = _UNIX
    info.external_attr = _FILE_MODE
    return info
