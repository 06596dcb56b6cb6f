"""Captum, the library that computes attributions; loaded where it is needed, for most of mm does without it."""

from importlib import import_module
from typing import Any

from mmtrain.errors import TrainError


def load_captum() -> Any:
    """Return the module `captum.attr`.

    Raises
    ------
    TrainError
        Captum is not installed.
    """
    try:
        return import_module("captum.attr")
    except ModuleNotFoundError as error:
        raise TrainError(
            "Explaining a model needs captum, which is not installed.",
            "Install it with: pip install 'megamodeller[explain]'",
        ) from error
