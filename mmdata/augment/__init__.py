"""Augmented copies: parameters are drawn in one module and applied in others; copies are stored once and read in every epoch."""
