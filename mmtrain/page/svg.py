"""Figures as SVG inside a page: letters stay text, colours follow the page, and no two elements share an id."""

import re

from mmtrain.drawing.figures import INK


def inline_svg(svg: bytes, prefix: str) -> str:
    """Return a figure's SVG as an element of a page.

    Parameters
    ----------
    prefix
        Of its ids; another for each figure of a page.
    """
    text = svg.decode()
    text = text[text.index("<svg") :].strip()
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL)
    text = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>", "", text, count=1, flags=re.DOTALL)
    text = re.sub(r'\sxmlns(:\w+)?="[^"]*"', "", text)
    text = text.replace("xlink:href=", "href=").replace(INK, "currentColor").replace("#000000", "currentColor")
    text = re.sub(r'\bid="', f'id="{prefix}-', text)
    text = re.sub(r'(href="#|url\(#)', rf"\g<1>{prefix}-", text)
    text = re.sub(r"font: ([\d.]+)px [^;\"]*", r"font: \1px system-ui, sans-serif", text)
    return _without_size(re.sub(r"\n\s*", "\n", text))


def _without_size(text: str) -> str:
    """Let the page say how large a picture is, and what it shows."""
    head, rest = text.split(">", maxsplit=1)
    attributes = re.findall(r'[\w:-]+="[^"]*"', head)
    kept = [part for part in attributes if not part.startswith(("width=", "height="))]
    return f'<svg {" ".join(kept)} aria-hidden="true" focusable="false">{rest}'
