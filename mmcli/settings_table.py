"""The table of settings in the documentation, made from the same fields as the options."""

from collections.abc import Iterator

from mmbase.settings import REQUIRED, Setting, settings_of
from mmcli.settings_options import shown_default

BEGIN = "<!-- The settings below are made from the fields of the code: make docs -->"
END = "<!-- End of the settings -->"
_HEAD = ("| setting | option | default | meaning |", "|---|---|---|---|")


def settings_table(*sections: type) -> str:
    """Return Markdown: of each section its summary and a table of its settings, without those that are derived."""
    settings_of(*sections)  # as in the command line, no name may come twice
    return "\n\n".join("\n".join(_section_lines(section)) for section in sections) + "\n"


def page_with_table(page: str, table: str) -> str:
    """Return a page with a new table between `BEGIN` and `END`.

    Raises
    ------
    ValueError
        The page has not both markers, in this order.
    """
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"Expected the lines {BEGIN!r} and {END!r} in the page.")
    return f"{before}{BEGIN}\n\n{table}\n{END}{after}"


def _section_lines(section: type) -> Iterator[str]:
    yield f"**{(section.__doc__ or section.__name__).splitlines()[0]}**"
    yield ""
    yield from _HEAD
    for setting in settings_of(section):
        if setting.option.is_option or setting.option.is_setting:
            cells = (_setting_cell(setting), _option_cell(setting), _default_cell(setting), setting.help)
            yield f"| {' | '.join(map(_escaped, cells))} |"


def _escaped(cell: str) -> str:
    return cell.replace("|", r"\|")


def _setting_cell(setting: Setting) -> str:
    return f"`{setting.name}`" if setting.option.is_setting else "–"


def _option_cell(setting: Setting) -> str:
    return ", ".join(f"`{name}`" for name in setting.option_names) or "–"


def _default_cell(setting: Setting) -> str:
    if setting.value_type is bool and setting.default is not REQUIRED:
        return "on" if setting.default else "off"
    if setting.option.factor != 1 and setting.default is not None:
        return f"{setting.default} ({setting.option_names[0]} {shown_default(setting)})"
    return shown_default(setting) or "–"
