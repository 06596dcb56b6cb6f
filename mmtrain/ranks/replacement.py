"""Replace layers of a network by others that do the same on any number of ranks."""

from collections.abc import Callable

from torch import nn


def replace_layers(network: nn.Module, make: Callable[[nn.Module], nn.Module | None]) -> None:
    """Replace layers at any depth; one that is used several times is replaced by one.

    Parameters
    ----------
    make
        Returns the other layer, or None where it stays.
    """
    made: dict[nn.Module, nn.Module | None] = {}
    for path, layer in list(network.named_modules(remove_duplicate=False)):
        if layer not in made:
            made[layer] = make(layer) if path else None
        replacement = made[layer]
        if replacement is not None:
            network.set_submodule(path, replacement)
