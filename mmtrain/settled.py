"""What a run settles where it is first trained and keeps from then on, wherever it is resumed."""

from typing import Any

import torch

from mmbase.files import write_json
from mmbase.json_text import read_json
from mmtrain.config.run import RunConfig
from mmtrain.precision import ARITHMETICS, Arithmetic, resolve_for_finished, resolve_precision
from mmtrain.ranks.group import Ranks
from mmtrain.run import RunDirectory


def settle_precision(directory: RunDirectory, config: RunConfig, device: torch.device, ranks: Ranks) -> RunConfig:
    """Return the settings of a run with what ``precision = auto`` is, and write it into the run. All ranks call it.

    Ranks on different GPUs compute in what all of them have.

    Raises
    ------
    TrainError
        The device cannot compute in what the run was begun with.
    """
    wanted = config.optimisation.precision
    arithmetic = _common(resolve_precision(wanted, device), ranks)
    if arithmetic == wanted:
        return config
    if ranks.leads:
        content = read_json(directory.config, dict[str, Any])
        write_json(directory.config, {**content, "train": {**content["train"], "precision": arithmetic}})
    return config.changed(precision=arithmetic)


def precision_to_finish(config: RunConfig, device: torch.device) -> RunConfig:
    """Return the settings with which the best epoch of a run is tested; what it was trained in stays written there."""
    return config.changed(precision=resolve_for_finished(config.optimisation.precision, device))


def _common(arithmetic: Arithmetic, ranks: Ranks) -> Arithmetic:
    """Return what all ranks can compute in: `auto` gives a rank one of two, of which every device has float32."""
    chosen = {ARITHMETICS[index] for index in ranks.gather(torch.tensor([ARITHMETICS.index(arithmetic)])).tolist()}
    return "float32" if len(chosen) > 1 else arithmetic
