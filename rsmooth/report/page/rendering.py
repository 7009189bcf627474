"""Templates into one file: styles, script and data inside, nothing from elsewhere."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rsmooth.plumbing.files import replace_file
from rsmooth.plumbing.paths import user_path

if TYPE_CHECKING:
    from jinja2 import Environment

FOLDER = Path(__file__).parent


def render(template: str, **values: Any) -> str:
    """The page of a template, complete.

        render("report.html", title="Digits", ...)

    Every value is escaped: a name from a file stays text, whatever it holds. The policy in the head
    of the page forbids the browser to load anything.
    """
    page = _environment().get_template(template)
    return page.render(css=_own("page.css"), js=_own("page.js"), **values)


def write_html(text: str, path: str | Path) -> Path:
    """Write a page; returns its path. The folder is made where it is missing."""
    out = user_path(path)
    out.parent.mkdir(parents=True, exist_ok=True)
    replace_file(out, text.encode("utf-8"))
    return out


def as_json(value: Any) -> Any:
    r"""Data for the script of a page, marked as safe: no text in it can end the script element.

    as_json({"name": "</script>"})      # {"name":"\u003c/script\u003e"}
    """
    from markupsafe import Markup

    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)


@cache
def _environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    made = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["json"] = as_json
    return made


@cache
def _own(name: str) -> Any:
    """A file of ours, which is put into the page as it is."""
    from markupsafe import Markup

    return Markup((FOLDER / name).read_text(encoding="utf-8"))
