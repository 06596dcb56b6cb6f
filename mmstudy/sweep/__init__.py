"""Many models as one piece of work: planned as a grid of cells, trained by workers, skipped where they are done."""
