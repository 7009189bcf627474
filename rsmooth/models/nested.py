"""Models made of other models: from what a user names to modules, and to what rebuilds them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from os import PathLike
from pathlib import Path
from typing import Any

from torch import nn

from rsmooth.config.specs import checked_options, missing_options
from rsmooth.models.checkpoints import load_weights, safe_load
from rsmooth.models.foreign import load_checkpoint
from rsmooth.models.hub_card import CONFIG
from rsmooth.models.hub_folder import read_folder
from rsmooth.models.safetensors import SUFFIX, read_tensors
from rsmooth.models.shipped import is_shipped, shipped_file
from rsmooth.plumbing.paths import user_path
from rsmooth.registry import MODELS, ModelRegistry, as_created

Part = nn.Module | str | PathLike[str] | Mapping[str, Any]


def build_part(part: Part, registry: ModelRegistry = MODELS, **known: Any) -> tuple[nn.Module, Any]:
    """A module from what names it, and the noise it was trained with where a file tells.

        build_part("runs/gaussian")                         # the base of a saved classifier
        build_part({"name": "resnet20", "num_classes": 10})
        build_part("resnet20", num_classes=10)
        build_part("cifar10-sigma-0.25")                    # one that comes with the package
        build_part({"checkpoint": "net.th", "arch": "cifar-resnet", "normalize": "imagenet"})

    part: a module, a registered name, a mapping of name and options, the run folder or file that
        ``SmoothedClassifier.save`` wrote, the name of a trained model of the package, or a mapping
        of a published checkpoint and what ``load_checkpoint`` is to know of it.
    known: options for what is built anew, as far as it takes them.

    ValueError for anything else.
    """
    if isinstance(part, nn.Module):
        return part, None
    if isinstance(part, Mapping):
        return _of_mapping(part, registry, known), None
    there = isinstance(part, (str, PathLike)) and user_path(part).exists()
    if isinstance(part, str) and (part in registry or not there):
        if registry is MODELS and part not in registry and is_shipped(part):
            return _saved(shipped_file(part))
        return _named(registry, part, {}, known), None
    if not isinstance(part, (str, PathLike)):
        raise ValueError(
            f"expected the {registry.kind} as a module, a name, a mapping with one or a run "
            f"folder, got {part!r}"
        )
    return _saved(user_path(part))


def _of_mapping(
    part: Mapping[str, Any], registry: ModelRegistry, known: Mapping[str, Any]
) -> nn.Module:
    options = dict(part)
    if "checkpoint" in options and "name" not in options:
        return _published(options)
    name = options.pop("name", None)
    if not isinstance(name, str):
        raise ValueError(
            f"expected the {registry.kind} to have a name, got {part!r}; give it as "
            "{name: NAME, option: value}, or of a file as {checkpoint: FILE, arch: NAME}"
        )
    noted = options.get("options")
    if len(options) == 1 and isinstance(noted, Mapping):
        options = dict(noted)  # as in the architecture of a model, in place of beside the name
    return _named(registry, name, options, known)


def _named(
    registry: ModelRegistry, name: str, options: Mapping[str, Any], known: Mapping[str, Any]
) -> nn.Module:
    """A new module of a registered name; ValueError for options that it does not take, or lacks."""
    entry = registry.get(name)  # which lists the known names where there is none
    given = {
        **_accepted(entry, known),
        **checked_options(entry, options, f"the {registry.kind} {name!r}"),
    }
    if missing := missing_options(entry, given):
        raise ValueError(
            f"expected the {registry.kind} {name!r} to be given {' and '.join(missing)}, got "
            f"{', '.join(options) or 'no option'}; give it as {{name: {name}, {missing[0]}: VALUE}}"
        )
    built: nn.Module = registry.create(name, **given)
    return built


def rebuilding(parts: Mapping[str, Any], **options: Any) -> dict[str, Any] | None:
    """Options that rebuild a model of parts: their architectures in place of them.

        rebuilding({"denoiser": front, "classifier": back}, num_classes=10)

    parts: modules by the name of the option; of several, a ModuleList. None where one of them does
        not note how it was built.
    """
    found: dict[str, Any] = {}
    for name, part in parts.items():
        several = isinstance(part, nn.ModuleList)
        noted = [
            getattr(own, "architecture", None) if as_created(own) else None
            for own in (part if several else [part])
        ]
        if None in noted:
            return None
        found[name] = noted if several else noted[0]
    return {**found, **options}


def _published(options: dict[str, Any]) -> nn.Module:
    """A network that others trained, from their file."""
    known = set(inspect.signature(load_checkpoint).parameters) - {"path"}
    unknown = sorted(set(options) - {"checkpoint"} - known)
    if unknown:
        raise ValueError(
            f"expected a checkpoint with {', '.join(sorted(known))}, got {', '.join(unknown)}; "
            "leave it out"
        )
    path = options.pop("checkpoint")
    return load_checkpoint(
        **checked_options(load_checkpoint, {"path": path, **options}, "checkpoint")
    )


def _accepted(entry: Callable[..., Any], known: Mapping[str, Any]) -> dict[str, Any]:
    taken = inspect.signature(entry).parameters
    return {key: value for key, value in known.items() if key in taken and value is not None}


def _saved(path: Path) -> tuple[nn.Module, Any]:
    """The base of a classifier that was saved, and its noise as the file states it."""
    if path.is_dir() and not (path / "model.pt").exists() and (path / CONFIG).exists():
        weights, header = read_folder(path)
        return _built({**header, "state_dict": weights}, path)
    file = path / "model.pt" if path.is_dir() else path
    if not file.exists():
        raise ValueError(f"expected a trained model in {file}, got no such file; train it first")
    if file.suffix == SUFFIX:
        weights, header = read_tensors(file)
        content: Any = {**header, "state_dict": weights}
    else:
        content = safe_load(file)
    return _built(content, file)


def _built(content: Any, file: Path) -> tuple[nn.Module, Any]:
    if not isinstance(content, dict) or not {"architecture", "state_dict"} <= set(content):
        raise ValueError(
            f"expected a model written by SmoothedClassifier.save, got {file}; save it so"
        )
    architecture = content["architecture"]
    module: nn.Module = MODELS.create(architecture["name"], **architecture["options"])
    load_weights(module, content["state_dict"], source=str(file))
    early = {"name": "gaussian", "sigma": content["sigma"]} if "sigma" in content else None
    return module, content.get("noise", early)
