"""The life of a run: plan, begin, train (or resume), enter. The command line, Python and sweeps go the same way."""
