"""How `make docs` builds the pages: every code cell is executed, every warning is an error."""

from __future__ import annotations

import ast
import re

from rsmooth.plumbing.machine import int8_instructions

project = "rsmooth"
author = "the developers of rsmooth"

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.autosummary", "sphinx_copybutton"]
exclude_patterns = ["_build"]
templates_path = ["_templates"]
html_theme = "furo"
html_title = "rsmooth"
html_theme_options = {"source_repository": "", "navigation_with_keys": True}

nb_execution_mode = "force"
# Its cells read what its shell commands wrote: `make docs` runs both in turn, before sphinx.
# Networks of 8-bit integers need instructions that not every CPU has. A page that may be left out
# says in its header which language its cells are in.
nb_execution_excludepatterns = ["report*", *([] if int8_instructions() else ["int8*"])]
nb_execution_in_temp = True
nb_execution_timeout = 300
nb_execution_raise_on_error = True
nb_merge_streams = True
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3

# Links to files of the repository that are no pages; a test sees to it that they exist.
suppress_warnings = ["myst.xref_missing"]

autosummary_generate = True
autodoc_typehints = "none"
autodoc_member_order = "bysource"


def as_rst(lines: list[str]) -> list[str]:
    """Our docstrings are plain text: an indented block after a blank line is code.

    Other indented lines go on with the one before them, as in a list of arguments.
    """
    made: list[str] = []
    code = False
    lines = _with_its_example(lines)
    for before, line in zip(["", *lines], lines, strict=False):
        indented = line.startswith("    ")
        if line.strip() and not indented:
            code = False
        elif indented and not before.strip() and not code:
            made += [".. code-block:: python", ""]
            code = True
        if code or not line.strip():
            made.append(line)
        elif indented:
            made[-1] += " " + _escaped(line.strip())
        else:
            made += ["", _escaped(line)] if _begins_item(line) else [_escaped(line)]
    return made


def _with_its_example(lines: list[str]) -> list[str]:
    """The second paragraph indented where it is Python.

    The formatter takes its indentation away where no other line of the docstring has any.
    """
    begin = next((at + 1 for at, line in enumerate(lines) if not line.strip()), len(lines))
    end = next((at for at in range(begin, len(lines)) if not lines[at].strip()), len(lines))
    example = "\n".join(lines[begin:end])
    try:
        ast.parse(example)
    except SyntaxError:
        return lines
    if "(" not in example:
        return lines
    return [*lines[:begin], *(f"    {line}" for line in lines[begin:end]), *lines[end:]]


def _begins_item(line: str) -> bool:
    """``name: what it is``, a line of a list of arguments."""
    return re.match(r"[a-z_0-9, ]+: ", line) is not None


def _escaped(line: str) -> str:
    """Double backticks stay what they are: code."""
    parts = re.split(r"(``.+?``)", line)
    return "".join(
        part if part.startswith("``") else re.sub(r"[*|`\\]|_(?=\W|$)", r"\\\g<0>", part)
        for part in parts
    )


def setup(app):  # type: ignore[no-untyped-def]
    """Called by sphinx."""
    app.connect("autodoc-process-docstring", _rewrite)


def _rewrite(app, what, name, obj, options, lines):  # type: ignore[no-untyped-def]
    lines[:] = as_rst(lines)
