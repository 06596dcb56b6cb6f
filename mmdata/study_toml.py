"""The text of `study.toml`: settings under the sentences that explain them, changed without losing what people wrote.

Settings are given as JSON values and their JSON schema, whose descriptions are the explanations.
"""

from collections.abc import Mapping
from typing import Any

import tomlkit


def explain_settings(values: Mapping[str, Any], schema: Mapping[str, Any]) -> str:
    """Return the text of new settings: every one under the sentence that explains it."""
    document = tomlkit.document()
    document.add(tomlkit.comment("Settings of this study. Keep this file private: it holds the salt."))
    _add_settings(document, values, schema, schema["$defs"])
    return tomlkit.dumps(document)


def change_settings(text: str, changes: Mapping[str, Any]) -> str:
    """Return a text with some settings changed, all else and its comments kept.

    Parameters
    ----------
    changes
        Setting to value, or section to its settings. An empty list that the text does not have is not added.
    """
    document = tomlkit.parse(text)
    for name, value in changes.items():
        if isinstance(value, Mapping):
            for inner_name, inner_value in value.items():
                document.setdefault(name, tomlkit.table())[inner_name] = inner_value
        elif value or name in document:
            _set_before_sections(document, name, value)
    return tomlkit.dumps(document)


def _add_settings(
    table: Any, values: Mapping[str, Any], schema: Mapping[str, Any], definitions: Mapping[str, Any]
) -> None:
    for name, value in values.items():
        described = schema["properties"][name]
        if isinstance(value, dict) and "$ref" not in described:
            section = tomlkit.table()
            section.add(tomlkit.comment(described["description"]))
            for key, entry in value.items():
                section.add(key, entry)
            table.add(name, section)
        elif isinstance(value, dict):
            definition = definitions[described["$ref"].rsplit("/", 1)[-1]]
            section = tomlkit.table()
            section.add(tomlkit.comment(definition["description"].splitlines()[0]))
            _add_settings(section, value, definition, definitions)
            table.add(name, section)
        else:
            table.add(tomlkit.comment(described["description"]))
            table.add(name, value)


def _set_before_sections(document: tomlkit.TOMLDocument, name: str, value: Any) -> None:
    """Set a value of the document itself; a new one may not come behind a section, whose it would be."""
    if name in document:
        document[name] = value
        return
    rest = {key: document.pop(key) for key in list(document) if isinstance(document[key], dict)}
    document[name] = value
    for key, section in rest.items():
        document[key] = section
