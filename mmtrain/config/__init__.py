"""The settings of a run: a small dataclass for each concern, composed in `mmtrain.config.run`.

From their fields come the options of `mm train` and `mm bench`, `[train]` of study.toml, the run's config.json and the
table in docs/settings.md. A new setting is one new field.
"""
