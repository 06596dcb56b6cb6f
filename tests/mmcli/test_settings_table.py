"""The documentation's table of settings says what the fields say."""

import pytest

from mmcli.settings_table import BEGIN, END, page_with_table, settings_table
from tests.mmcli.sections import Fitting, Reading


def test_the_table_has_every_setting_and_option_with_its_default_and_meaning() -> None:
    assert settings_table(Reading, Fitting) == (
        "**What is read.**\n"
        "\n"
        "| setting | option | default | meaning |\n"
        "|---|---|---|---|\n"
        "| `inputs` | `--inputs` | – | Modalities, e.g. ``t1``; empty: all. |\n"
        "| `metadata_blocks` | `--metadata-block` | – | Group of features. |\n"
        "| `prefetch_bytes` | `--prefetch-mb` | 100663296 (--prefetch-mb 96) | Memory for batches, in MiB. |\n"
        "| – | `--stores` | – | Folder of the stores. |\n"
        "| `changes` | – | – | Set in the file alone. |\n"
        "\n"
        "**How weights are fitted.**\n"
        "\n"
        "| setting | option | default | meaning |\n"
        "|---|---|---|---|\n"
        "| `channels` | `--channels` | 16,32 | Width of each stage. |\n"
        "| `epochs` | `--epochs` | 200 | Most epochs. |\n"
        "| `rate` | `--rate` | 0.0001 | Step size. |\n"
        "| `clip_norm` | `--clip-norm` | – | Longest gradient. |\n"
        "| `precision` | `--precision` | auto | Number type: auto \\| float32. |\n"
        "| `compile` | `--compile` | off | Fuse operations. |\n"
        "| `sync_batch_norm` | `--sync-batch-norm`, `--no-sync-batch-norm` | on | Batch norm over all ranks. |\n"
        "| `shuffle` | `--no-shuffle` | on | Do not shuffle. |\n"
    )


def test_a_page_keeps_everything_but_its_table() -> None:
    page = f"# Settings\n\n{BEGIN}\nold\n{END}\n\nMore.\n"
    written = page_with_table(page, "new\n")
    assert written == f"# Settings\n\n{BEGIN}\n\nnew\n\n{END}\n\nMore.\n"
    assert page_with_table(written, "new\n") == written


def test_a_page_without_markers_is_refused() -> None:
    with pytest.raises(ValueError, match="Expected the lines"):
        page_with_table("# Settings\n", "new\n")
