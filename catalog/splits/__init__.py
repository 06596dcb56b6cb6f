"""Decide who is trained, validated and tested on."""
