"""A page as one HTML file: nothing is loaded, and without JavaScript every row is there.

Every text is escaped by jinja2, what cannot be seen is written out (``parts.visible``), and a
content security policy lets no script run but the page's own.
"""

from __future__ import annotations

import base64
import hashlib
from importlib import resources
from typing import TYPE_CHECKING

from pytest_applesilicon.reports.parts import TONES, visible

if TYPE_CHECKING:
    from pytest_applesilicon.reports.parts import Page

NEEDS_JINJA = "the HTML report needs jinja2\n  remedy: pip install 'pytest-applesilicon[report]'"

#: Rows shown at once; with more than ``_FEW`` a table can be searched. The same number as
#: ``SHOWN`` of page.js: with JavaScript the others wait in a body that is not laid out.
_FIRST = 100
_FEW = 15


class MissingJinjaError(ImportError):
    """jinja2 is not installed; the text says what to do."""


def to_html(page: Page, version: str) -> str:
    """The page as an HTML document.

    Raises:
        MissingJinjaError: jinja2 is not installed.
    """
    try:
        import jinja2
    except ImportError:
        raise MissingJinjaError(NEEDS_JINJA) from None
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["visible"] = visible
    template = environment.from_string(_file("page.html.j2"))
    style, early, script = (_file(name) for name in ("page.css", "early.js", "page.js"))
    return template.render(
        page=page,
        version=version,
        tones=TONES,
        first=_FIRST,
        few=_FEW,
        style=style,
        early=early,
        script=script,
        style_hash=_hash(style),
        script_hashes=[_hash(early), _hash(script)],
    )


def _file(name: str) -> str:
    # Packed beside this module; one line end, as the hash of the policy is of the page's text.
    text = resources.files(__package__).joinpath(f"page/{name}").read_text(encoding="utf-8")
    return text.replace("\r\n", "\n").strip()


def _hash(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
