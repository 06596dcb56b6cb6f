"""Small releases in every layout, each written once for all tests."""

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from mmdata.synth.release import SynthConfig, write_release

Write = Callable[..., Path]


@pytest.fixture(scope="session")
def written(tmp_path_factory: pytest.TempPathFactory) -> Write:
    """Return the folder of a release of 5 participants at 4 mm with some settings. Tests must not change it."""

    @cache
    def write(**settings: object) -> Path:
        dest = tmp_path_factory.mktemp("release") / "release"
        config = SynthConfig(**{"participants": 5, "voxel_mm": 4.0} | settings)
        write_release(dest, config, workers=0, on_progress=lambda done, total: None)
        return dest

    return write
