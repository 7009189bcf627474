"""``rsmooth list``: the registered names, each with one line, and an entry's options."""

from importlib import import_module

from rsmooth import registry
from rsmooth.cli.options import describe_options
from rsmooth.registry import Registry

KINDS = {
    "attacks": "rsmooth.attacks",
    "trainers": "rsmooth.defenses",
    "objectives": "rsmooth.objectives",
    "models": "rsmooth.models",
    "datasets": "rsmooth.data",
}


def list_entries(kind: str | None = None, name: str | None = None) -> None:
    """List the registered attacks, trainers, objectives, models and data sets, or the options of
    one of them.

    Args:
        kind: attacks, trainers, objectives, models or datasets; default: all of them
        name: an entry of that kind, to see its options
    """
    if kind is not None and kind not in KINDS:
        raise ValueError(f"expected one of {', '.join(KINDS)}, got {kind!r}")
    if name is not None:
        assert kind is not None  # the parser fills positions in order
        _print_options(kind, name)
        return
    for each in KINDS if kind is None else [kind]:
        _print_entries(each)


def _print_entries(kind: str) -> None:
    entries = _registry(kind)
    names = entries.names()
    width = max(map(len, names), default=0)
    print(f"{kind}:")
    for name in names:
        print(f"  {name:<{width}}  {entries.describe(name)}")


def _print_options(kind: str, name: str) -> None:
    entries = _registry(kind)
    rows = describe_options(entries.get(name))
    print(f"{name}: {entries.describe(name)}")
    width = max((len(row[0]) for row in rows), default=0)
    for option, annotation, default in rows:
        print(f"  {option:<{width}}  {annotation}{f' = {default}' if default else '  (required)'}")


def _registry(kind: str) -> Registry:
    import_module(
        KINDS[kind]
    )  # a package enters its own names into their registry when it is imported
    found: Registry = getattr(registry, kind.upper())
    return found
