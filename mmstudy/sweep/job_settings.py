"""What the run of a job is asked for with."""

from collections.abc import Sequence
from typing import Any

from mmbase.names import METADATA
from mmbase.settings import settings_of
from mmstudy.runs.defaults import settings_that_apply
from mmstudy.sweep.jobs import Job
from mmstudy.sweep.settings import SweepSettings
from mmtrain.config.augmentation import AugmentationConfig

_OF_AUGMENTATION = {setting.name for setting in settings_of(AugmentationConfig)}


def settings_of_job(job: Job, settings: SweepSettings, required_inputs: Sequence[str]) -> dict[str, Any]:
    """Return what its run is asked for with, by the names of settings in study.toml.

    Of the settings that all runs share it has those that its network knows.
    """
    own = {
        "inputs": job.inputs,
        **({"metadata_blocks": job.blocks} if METADATA in job.inputs else {}),
        "model": job.network,
        "seed": job.seed,
        "required_inputs": tuple(required_inputs),
    }
    shared = settings_that_apply(settings.train, {**settings.train, **own})
    if job.trunk:  # embeddings are of volumes as they are
        shared = {name: value for name, value in shared.items() if name not in _OF_AUGMENTATION}
    return {**shared, **own}
