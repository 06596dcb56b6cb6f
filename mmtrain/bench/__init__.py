"""How fast a run is on this machine, stage by stage."""
