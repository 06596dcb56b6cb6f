"""Where the files of a release go: one module for each layout, with the same functions.

``prepare(root, seed, plan)``            makes what visits are written into
``write_visit(root, drawn)``             writes one visit's files, in any order and in any process
``write_table(root, seed, plan)``        writes the layout's own table, where it has one; returns its rows
"""
