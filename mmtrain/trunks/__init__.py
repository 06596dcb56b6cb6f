"""Imaging networks of finished runs that other runs take as they are: found, checked, and what they make of volumes."""
