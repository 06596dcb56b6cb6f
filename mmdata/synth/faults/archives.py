"""Zip files that are damaged or malicious. Each function makes one of a good archive's members.

Source: APPNOTE.TXT of the zip format, 4.3.
"""

import io
import zipfile

from mmdata.synth.archive import member_info, zip_bytes
from mmdata.synth.faults.members import T1_IMAGE, Members
from mmdata.synth.faults.zeros import deflate_before_zeros

_KEPT_WHEN_TRUNCATED = 0.6
_OUTSIDE = "../../outside.txt"


def truncated_zip(members: Members) -> bytes:
    """End before the table of contents."""
    content = zip_bytes(members)
    return content[: int(len(content) * _KEPT_WHEN_TRUNCATED)]


def not_zip(members: Members) -> bytes:
    """Hold an error page, as a download without permission leaves it."""
    return b"<html><title>403 Forbidden</title></html>\n"


def empty_file(members: Members) -> bytes:
    """Hold nothing, as a download on a full disk leaves it."""
    return b""


def outside_paths(members: Members) -> bytes:
    """Hold members that an extraction would write outside its folder, before the ones that should be there."""
    return zip_bytes({_OUTSIDE: b"written outside\n", f"../../{T1_IMAGE}": b"not the image\n", **members})


def zip_bomb(members: Members) -> bytes:
    """Hold an image with more than 1 GiB of zeros behind it, compressed by the archive."""
    deflated = deflate_before_zeros(members[T1_IMAGE])
    buffer = io.BytesIO(zip_bytes({name: content for name, content in members.items() if name != T1_IMAGE}))
    with zipfile.ZipFile(buffer, "a") as archive:
        info = member_info(T1_IMAGE)
        archive.writestr(info, deflated.content)
        info.compress_type, info.CRC, info.file_size = zipfile.ZIP_DEFLATED, deflated.crc, deflated.num_bytes
        end = buffer.tell()
        buffer.seek(info.header_offset)
        buffer.write(info.FileHeader())  # what zipfile took for content is the compressed form: say so before it, too
        buffer.seek(end)
    return buffer.getvalue()
