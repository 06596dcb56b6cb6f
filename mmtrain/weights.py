"""The published weights of the reference study, for use from Python.

```
model = load_reference_checkpoint(Path("best_model.pt"))
model.trained.of("trained")                       # what it was trained on
logits = model(imaging=volumes_BCXYZ, connectivity=None, metadata=None)
```
`mm weights import` makes a model of them that says what it takes for granted, and that `mm predict` uses.
"""

from pathlib import Path

from mmtrain.published.checkpoint import read_checkpoint
from mmtrain.published.network import PublishedNetwork, network_of


def load_reference_checkpoint(path: Path | str) -> PublishedNetwork:
    """Return the network of a published checkpoint, in evaluation mode, on the CPU.

    Raises
    ------
    TrainError
        The file is no published checkpoint, it is damaged, or it asks for something to be run; nothing of it was.
    """
    return network_of(read_checkpoint(Path(path)))
