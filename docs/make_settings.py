"""Write the table of settings into settings.md: `make docs`. A test holds the page equal to the code."""

from pathlib import Path

from mmcli.settings_table import page_with_table, settings_table
from mmtrain.config.run import SECTIONS

if __name__ == "__main__":
    page = Path(__file__).with_name("settings.md")
    text = page_with_table(page.read_text(encoding="utf-8"), settings_table(*SECTIONS.values()))
    page.write_text(text, encoding="utf-8")
