"""Small releases in every layout, each written once for all tests."""

from collections.abc import Callable
from pathlib import Path

import pytest

from mmdata.synth.release import SynthConfig, write_release
from tests.conftest import MakeOnce

Write = Callable[..., Path]


@pytest.fixture(scope="session")
def written(make_once: MakeOnce) -> Write:
    """Return the folder of a release of 5 participants at 4 mm with some settings. Tests must not change it."""

    def write(**settings: object) -> Path:
        config = SynthConfig(**{"participants": 5, "voxel_mm": 4.0} | settings)

        def fill(folder: Path) -> None:
            write_release(folder / "release", config, workers=0, on_progress=lambda done, total: None)

        name = "_".join(f"{name}-{value}" for name, value in sorted(settings.items()))
        return make_once(f"synth_{name}", fill) / "release"

    return write
