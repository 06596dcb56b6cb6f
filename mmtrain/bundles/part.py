"""Read a JSON file of a bundle: as it was written, of a version that is known, and of the shape that is asked for."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from mmbase.json_text import DamagedTextError, parse_content, read_json
from mmtrain.errors import TrainError
from mmtrain.unchanged import require_unchanged

Shape = TypeVar("Shape")


@dataclass(frozen=True, slots=True)
class _Versioned:
    schema_version: int


def read_part(path: Path, shape: type[Shape], version: int) -> Shape:
    """Return what a JSON file of a bundle says.

    Parameters
    ----------
    version
        The schema version that this program reads.

    Raises
    ------
    TrainError
        There is no such file, it is damaged or changed, or of another version.
    """
    require_unchanged(path)
    try:
        content = read_json(path, dict[str, Any])
        found = parse_content(content, _Versioned).schema_version
        if found != version:
            raise TrainError(f"{path.name} has schema_version {found}; this mm reads {version}.", "Use a newer mm.")
        return read_json(path, shape)
    except FileNotFoundError as error:
        raise TrainError(
            f"The bundle has no {path.name}.", "Get the whole bundle, or export the model again."
        ) from error
    except DamagedTextError as error:
        raise TrainError(f"{path.name} is damaged ({error}).", "Get another copy of the bundle.") from error
