"""What makes pages interactive, inside of them: the scripts of Vega for figures, and of DataTables for tables.

A page is complete without scripts. They are packed, and unpacked by the browser when they are needed
(templates/interactive.js), so that a page stays small and shows at once.
"""

import base64
import gzip
from functools import cache
from importlib.resources import files

import vl_convert


@cache
def libraries() -> dict[str, str]:
    """Name -> base64 of the gzip of a script or style sheet; the same bytes for the same versions."""
    tables = files("itables") / "html"
    contents = {
        "vega": vl_convert.javascript_bundle(),
        "tables": (tables / "dt_bundle.js").read_text("utf-8"),
        "tables-style": (tables / "dt_bundle.css").read_text("utf-8"),
    }
    return {name: _packed(text) for name, text in contents.items()}


def _packed(text: str) -> str:
    return base64.b64encode(gzip.compress(text.encode("utf-8"), mtime=0)).decode("ascii")
