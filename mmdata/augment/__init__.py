"""Augmented copies: parameters are drawn in one place, applied in another, and stored once for every epoch to come."""
