"""One of the ranks whose training is measured; torchrun starts it with a run's directory."""

import sys
from pathlib import Path

from mmdata.store.schema import StudyLayout
from mmtrain.run import find_run
from mmtrain.train import train

if __name__ == "__main__":
    path = Path(sys.argv[1])
    directory, config = find_run(path.parent, path.name)
    train(directory, StudyLayout(path.parent.parent), config)
