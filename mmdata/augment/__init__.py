"""Augmented copies: drawn in one module, applied in others, stored once and read in every epoch."""
