"""The commands of mm: one module for each group of commands. The only package that prints or exits."""
