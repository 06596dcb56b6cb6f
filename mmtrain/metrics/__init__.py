"""How good predictions are: metrics, what they need that is fixed beforehand, their intervals, and subgroups."""
