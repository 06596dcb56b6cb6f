"""Where the files of a release go: one module for each layout, with the same three functions.

``prepare(root, seed, plan)``            makes what visits are written into
``write_visit(root, drawn)``             writes one visit's files, in any order and in any process
``write_table(root, seed, plan)``        writes the table in the layout's form; returns its rows
"""
