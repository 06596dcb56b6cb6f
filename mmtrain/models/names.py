"""The networks that can be chosen, by name; none is loaded."""

from mmtrain.discovery import choices_in, require_choice
from mmtrain.models import networks

NETWORK = "network (--model)"
"""What a message calls it."""
FITTED_AT_ONCE = ("constant", "linear", "boosting")
"""Those that are not trained in epochs: the baselines of a sweep."""


def network_names() -> tuple[str, ...]:
    """Return the networks that can be chosen."""
    return choices_in(networks)


def require_network(name: str) -> None:
    """Refuse the name of a network that does not exist.

    Raises
    ------
    TrainError
        There is none of that name.
    """
    require_choice(networks, name, NETWORK)
