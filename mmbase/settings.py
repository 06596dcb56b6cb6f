"""One home for an option: the field of a dataclass of settings.

From the field follow its option on the command line, its name in ``study.toml``, its help and its row in the
documentation. The field's type says what is accepted, its docstring is the help, and `Option` says what these two
cannot.

Terms
-----
section    a dataclass whose fields are settings, each with a docstring below it
setting    one field of a section
option     the word of the command line that gives a setting

Annotations must be real types: a module of sections does without ``from __future__ import annotations``.
"""

import ast
import inspect
import textwrap
from dataclasses import KW_ONLY, MISSING, Field, dataclass, fields
from functools import cache
from itertools import pairwise
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from pydantic import ConfigDict

STRICT = ConfigDict(extra="forbid")
"""How pydantic validates a section: no unknown names. Docstrings are not read, which every command would wait for."""

REQUIRED = MISSING
"""Stands for the default of a setting that has none."""


@dataclass(frozen=True, slots=True)
class Option:
    """What a field's type and docstring do not say of its option; goes into ``Annotated[type, Option(...)]``."""

    name: str | None = None
    """The option where it is not the field's name with dashes, e.g. ``--prefetch-mb``."""
    _: KW_ONLY
    is_option: bool = True
    """Whether it can be given on the command line."""
    is_setting: bool = True
    """Whether it can be set in ``study.toml``."""
    repeatable: bool = False
    """A tuple that is given by repeating the option; otherwise its values are given with `separators`."""
    separators: str = ","
    """Characters that part the values of a tuple that is given at once; the first of them is the one documented."""
    negatable: bool = False
    """A bool that is given as ``--x`` or ``--no-x``; otherwise there is only the one that changes the default."""
    factor: int = 1
    """How many of the setting's unit are one of the option's: 2**20 for ``--prefetch-mb`` of ``prefetch_bytes``."""
    minimum: float | None = None
    """Least value, in the option's unit; a smaller one is wrong usage."""
    metavar: str | None = None
    """What stands for the value in the help, where the type does not say it."""


DERIVED = Option(is_option=False, is_setting=False)
"""Of a field that the program works out for itself."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Setting:
    """One field of a section."""

    section: type
    """The dataclass it is a field of."""
    name: str
    """As in the section and in ``study.toml``."""
    type: Any
    """Its annotation, without ``Annotated``."""
    default: Any
    """`REQUIRED` where there is none."""
    help: str
    """First paragraph of the field's docstring, in one line."""
    option: Option

    @property
    def value_type(self) -> Any:
        """The type of a value that is not None."""
        if get_origin(self.type) not in (Union, UnionType):
            return self.type
        others = [member for member in get_args(self.type) if member is not NoneType]
        return others[0] if len(others) == 1 else Union[tuple(others)]  # noqa: UP007 - of a list of types

    @property
    def choices(self) -> tuple[Any, ...]:
        """The values it can have, where its type is a Literal; otherwise none."""
        return get_args(self.value_type) if get_origin(self.value_type) is Literal else ()

    @property
    def item_type(self) -> Any:
        """The type of a tuple's items; None where the setting is not a tuple of any length."""
        members = get_args(self.value_type) if get_origin(self.value_type) is tuple else ()
        return members[0] if len(members) == 2 and members[1] is Ellipsis else None

    @property
    def option_names(self) -> tuple[str, ...]:
        """The option, or of a negatable one both forms; none where it is not an option.

        >>> Setting(section=object, name="use_cache", type=bool, default=True, help="", option=Option()).option_names
        ('--no-use-cache',)
        """
        if not self.option.is_option:
            return ()
        name = self.name.replace("_", "-")
        if self.value_type is bool and self.option.negatable:
            positive = self.option.name or f"--{name}"
            return positive, f"--no-{positive.removeprefix('--')}"
        no = "no-" if self.value_type is bool and self.default is True else ""
        return (self.option.name or f"--{no}{name}",)


def settings_of(*sections: type) -> tuple[Setting, ...]:
    """Return the settings of dataclasses in the order of their fields.

    Raises
    ------
    TypeError
        A field has no docstring, or two sections have a setting or an option of the same name.
    """
    settings = tuple(setting for section in sections for setting in _settings_of_one(section))
    for what, names in (
        ("setting", [setting.name for setting in settings]),
        ("option", [name for setting in settings for name in setting.option_names]),
    ):
        repeated = sorted({name for name in names if names.count(name) > 1})
        if repeated:
            raise TypeError(f"Expected one {what} of each name, got several of {', '.join(repeated)}.")
    return settings


@cache
def field_docstrings(section: type) -> dict[str, str]:
    """Return the docstring below each field of a class that has one, as it is in the source."""
    (definition,) = ast.parse(textwrap.dedent(inspect.getsource(section))).body
    assert isinstance(definition, ast.ClassDef)
    return {
        field.target.id: inspect.cleandoc(text.value.value)
        for field, text in pairwise(definition.body)
        if isinstance(field, ast.AnnAssign)
        and isinstance(field.target, ast.Name)
        and isinstance(text, ast.Expr)
        and isinstance(text.value, ast.Constant)
        and isinstance(text.value.value, str)
    }


@cache
def _settings_of_one(section: type) -> tuple[Setting, ...]:
    types = get_type_hints(section)
    annotations = get_type_hints(section, include_extras=True)
    docstrings = field_docstrings(section)
    missing = [field.name for field in fields(section) if field.name not in docstrings]
    if missing:
        raise TypeError(f"Expected a docstring below each field of {section.__name__}, got none for {missing}.")
    return tuple(
        Setting(
            section=section,
            name=field.name,
            type=types[field.name],
            default=_default_of(field),
            help=" ".join(docstrings[field.name].split("\n\n")[0].split()),
            option=_option_in(annotations[field.name]),
        )
        for field in fields(section)
    )


def _default_of(field: "Field[Any]") -> Any:
    return field.default if field.default_factory is MISSING else field.default_factory()


def _option_in(annotation: Any) -> Option:
    extras = get_args(annotation)[1:] if get_origin(annotation) is Annotated else ()
    return next((extra for extra in extras if isinstance(extra, Option)), Option())
