"""Options of a command made from the settings of dataclasses; see `mmbase.settings`.

    @app.command()
    @with_settings(OptimisationSettings, DataSettings)
    def train(*, target: TargetOption, given: dict[str, Any], dry_run: DryRunOption = False) -> None: ...

`given` holds the settings whose options were given, by name, and nothing else: the rest comes from the study or the
dataclasses. The options are listed where `given` stands among the command's own parameters. Numbers are parsed; choices
and the items of a tuple are left as text to whoever validates the settings as a whole, so that one place words what is
wrong with them.
"""

import inspect
import re
from collections.abc import Callable, Collection, Mapping
from functools import wraps
from typing import Annotated, Any, TypeVar

import typer

from mmbase.settings import REQUIRED, Setting, settings_of

R = TypeVar("R")
_SINGLE_TYPES = (str, int, float, bool)


def with_settings(
    *sections: type, only: Collection[str] = (), into: str = "given"
) -> Callable[[Callable[..., R]], Callable[..., R]]:
    """Give a command an option for each setting of dataclasses.

    Parameters
    ----------
    only
        Names of the settings to offer; without any, all that are options.
    into
        Parameter of the command that gets the settings that were given.

    Raises
    ------
    TypeError
        No option can be made of a setting's type, `only` names one that is no option, or the command has no parameter
        `into`.
    """
    settings = [setting for setting in settings_of(*sections) if setting.option.is_option]
    unknown = sorted(set(only) - {setting.name for setting in settings})
    if unknown:
        raise TypeError(f"Expected names of options, got {', '.join(unknown)}.")
    offered = [setting for setting in settings if not only or setting.name in only]

    def decorate(command: Callable[..., R]) -> Callable[..., R]:
        @wraps(command)
        def run(**values: Any) -> R:
            words = {setting.name: values.pop(setting.name) for setting in offered}
            return command(**values, **{into: given_settings(offered, words)})

        signature = _signature_with(inspect.signature(command, eval_str=True), into, offered)
        run.__signature__ = signature  # type: ignore[attr-defined]
        run.__annotations__ = {parameter.name: parameter.annotation for parameter in signature.parameters.values()}
        return run

    return decorate


def given_settings(settings: Collection[Setting], words: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of the settings whose options were given.

    Parameters
    ----------
    words
        By name of the setting, what stood on the command line; None where nothing did.
    """
    return {
        setting.name: setting_value(setting, words[setting.name])
        for setting in settings
        if words[setting.name] is not None
    }


def setting_value(setting: Setting, word: Any) -> Any:
    """Turn what stood on the command line into the value of a setting."""
    if setting.item_type is not None:
        return tuple(word) if setting.option.repeatable else tuple(_split(word, setting.option.separators))
    if setting.value_type is bool and not setting.option.negatable:
        return setting.default is not True
    return word if setting.option.factor == 1 else word * setting.option.factor


def shown_default(setting: Setting) -> str:
    """Return the default as the option would be given it; empty where there is none to show.

    A flag shows none: it is the other one.
    """
    default = setting.default
    if default is REQUIRED or default in (None, "", (), {}):
        return ""
    if setting.value_type is bool:
        return ("on" if default else "off") if setting.option.negatable else ""
    if setting.item_type is not None:
        return setting.option.separators[0].join(map(str, default))
    if setting.option.factor != 1:
        return str(default // setting.option.factor)
    return f"{default:g}" if isinstance(default, float) else str(default)


def _signature_with(signature: inspect.Signature, into: str, settings: Collection[Setting]) -> inspect.Signature:
    """Put an option of each setting in place of a parameter."""
    if into not in signature.parameters:
        raise TypeError(f"Expected a command with a parameter {into!r}, got {', '.join(signature.parameters)}.")
    parameters: list[inspect.Parameter] = []
    for parameter in signature.parameters.values():
        options = map(_option_parameter, settings) if parameter.name == into else [parameter]
        parameters += [option.replace(kind=inspect.Parameter.KEYWORD_ONLY) for option in options]
    return signature.replace(parameters=parameters)


def _option_parameter(setting: Setting) -> inspect.Parameter:
    default = shown_default(setting)
    option = typer.Option(
        "/".join(setting.option_names),
        help=re.sub("`+", "", setting.help) + (f" [default: {default}]" if default else ""),
        metavar=_metavar(setting),
        min=setting.option.minimum,
        show_default=False,
    )
    annotation = Annotated[_word_type(setting) | None, option]  # type: ignore[valid-type]
    return inspect.Parameter(setting.name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)


def _word_type(setting: Setting) -> Any:
    """Return the type that the command line is parsed to."""
    if setting.item_type is not None:
        return list[str] if setting.option.repeatable else str
    if setting.choices:
        return str
    if setting.value_type not in _SINGLE_TYPES:
        where = f"{setting.section.__name__}.{setting.name}"
        raise TypeError(f"No option can be made of {where}, of type {setting.type}: mark it DERIVED.")
    return setting.value_type


def _metavar(setting: Setting) -> str | None:
    if setting.option.metavar:
        return setting.option.metavar
    if setting.choices:
        return f"[{'|'.join(map(str, setting.choices))}]"
    if setting.item_type is not None:
        item = "INTEGER" if setting.item_type is int else "NAME"
        return item if setting.option.repeatable else f"{item}{setting.option.separators[0]}..."
    return None


def _split(word: str, separators: str) -> list[str]:
    return re.split(f"[{re.escape(separators)}]", word)
