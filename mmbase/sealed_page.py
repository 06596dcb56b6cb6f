"""Pages for a browser that hold all they show: they load nothing and ask nobody.

A page holds its content as JSON and scripts that show it. Its policy names the scripts and the style by their hashes,
so no text of the content can be run, and forbids every request.
"""

import base64
import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any


def embedded_json(content: Mapping[str, Any]) -> str:
    r"""Return JSON that may stand within a script element: no text in it can end the element or begin a comment.

    >>> embedded_json({"title": "</script>"})
    '{"title":"\\u003c/script>"}'
    """
    return json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":")).replace("<", r"\u003c")


def page_policy(scripts: Iterable[str], style: str) -> str:
    """Return a policy that lets these scripts and this style act, shows pictures that lie in the page, and no more."""
    allowed = " ".join(_hash(script) for script in scripts)
    return (
        f"default-src 'none'; script-src {allowed}; style-src {_hash(style)}; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    """Return how a policy names a script or style."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
