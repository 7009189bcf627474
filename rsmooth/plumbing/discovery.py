"""What a package registers and says of itself, read from its source without importing it.

``rsmooth list`` prints names with one line each. Importing the modules would load torch.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

Definition = ast.ClassDef | ast.FunctionDef


@dataclass(frozen=True)
class Found:
    """A registered class or function: its module, its name there, what its docstring says first."""

    module: str
    attribute: str
    summary: str


def registrations(where: str, registry: str) -> dict[str, Found]:
    """Every ``@registry.register("name")`` in a module or in the modules of a package, by name.

        registrations("rsmooth.attacks", "ATTACKS")["pgd"].attribute      # "PGD"

    where: a dotted name.

    Only definitions at the top of a module are looked at.
    """
    found = {}
    for module, path in _modules(where):
        for node in _definitions(path):
            for name in _registered_names(node, registry):
                found[name] = Found(module, node.name, _summary(node))
    return found


def summary(module: str, attribute: str) -> str | None:
    """What the docstring of ``module.attribute`` says first; None if no source tells it.

    summary("rsmooth.attacks.pgd", "PGD")
    """
    try:
        spec = find_spec(module)  # it imports the packages above, which may raise anything
        if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
            return None
        nodes = {node.name: node for node in _definitions(Path(spec.origin))}
    except (Exception, SystemExit):
        return None
    return _summary(nodes[attribute]) if attribute in nodes else None


def _modules(where: str) -> list[tuple[str, Path]]:
    """The modules of a package and of the packages below it, or the one module."""
    spec = find_spec(where)
    if spec is None or spec.origin is None:
        return []
    if spec.submodule_search_locations is None:
        return [(where, Path(spec.origin))]
    root = Path(spec.origin).parent
    paths = (path for path in sorted(root.rglob("*.py")) if path.name != "__init__.py")
    return [
        (".".join([where, *path.relative_to(root).with_suffix("").parts]), path) for path in paths
    ]


def _definitions(path: Path) -> list[Definition]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return [node for node in tree.body if isinstance(node, Definition)]


def _registered_names(node: Definition, registry: str) -> list[str]:
    return [
        str(call.args[0].value)
        for call in node.decorator_list
        if isinstance(call, ast.Call)
        and ast.unparse(call.func) == f"{registry}.register"
        and isinstance(call.args[0], ast.Constant)
    ]


def _summary(node: Definition) -> str:
    return first_paragraph(ast.get_docstring(node) or "")


def first_paragraph(text: str) -> str:
    """What a docstring says first, in one line."""
    return " ".join(text.strip().split("\n\n")[0].split())
