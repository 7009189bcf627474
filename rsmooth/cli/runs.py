"""The run folder: where a verb leaves what the next one needs, and what says that both speak of the same run."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    import torch

    from rsmooth import SmoothedClassifier

CONFIG, MODEL, BEST, CERTIFICATES = "config.yaml", "model.pt", "best.pt", "certificates.jsonl"


def claim(run: Path, config: dict[str, Any]) -> None:
    """Make ``run`` the folder of this configuration; ValueError if it holds a run with another one."""
    path = run / CONFIG
    if path.exists():
        differing = differences(read_config(run), config)
        if differing:
            raise ValueError(f"expected the configuration that {path} holds, got {'; '.join(differing)}; "
                             "take another run folder, or give the same options to go on with this one")
        return
    run.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp")
    temporary.write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
    os.replace(temporary, path)


def read_config(run: Path) -> dict[str, Any]:
    """The configuration that a run folder was made with; ValueError where it is no mapping."""
    config = yaml.safe_load((run / CONFIG).read_text(encoding="utf-8"))
    if not isinstance(config, dict):
        raise ValueError(f"expected a mapping of options in {run / CONFIG}, got {type(config).__name__}")
    return config


def differences(old: Any, new: Any, key: str = "") -> list[str]:
    """Each leaf in which two configurations differ, as "key: old became new"."""
    if isinstance(old, dict) and isinstance(new, dict):
        found = []
        for name in [*old, *(name for name in new if name not in old)]:
            found += differences(old.get(name), new.get(name), f"{key}.{name}" if key else str(name))
        return found
    return [] if old == new else [f"{key} = {new!r} where it has {old!r}"]


def pick_device(device: str) -> torch.device:
    """The device of that name; "auto" is CUDA where there is one. ValueError for CUDA where there is none."""
    import torch

    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        picked = torch.device(device)
    except RuntimeError:
        raise ValueError(f"expected a device such as cpu, cuda or auto, got {device!r}") from None
    if picked.type == "cuda" and not torch.cuda.is_available():
        raise ValueError(f"expected a device of this machine, got {device!r}, and it has no CUDA; use cpu or auto")
    return picked


def load_model(source: Path | None, *, weights: str, checkpoint: Path | None, normalize: str | None,
               sigma: float | None, num_classes: int | None, device: str) -> SmoothedClassifier:
    """The smoothed classifier of a run folder, of a model file, or of a published checkpoint, on its device.

    A published checkpoint knows neither sigma nor its normalisation; ValueError if either is not said.
    """
    from rsmooth import SmoothedClassifier
    from rsmooth.models import load_checkpoint

    target = pick_device(device)
    if (source is None) == (checkpoint is None):
        raise ValueError("expected either a run folder (or model file) or --checkpoint, got "
                         f"{'neither' if source is None else 'both'}; name one of them")
    if checkpoint is not None:
        if sigma is None or normalize is None:
            raise ValueError("expected --sigma and --normalize beside --checkpoint, since a published checkpoint holds "
                             f"neither, got sigma={sigma} and normalize={normalize}; e.g. --sigma 0.25 "
                             "--normalize cifar10")
        base = load_checkpoint(checkpoint, normalize=normalize, num_classes=num_classes)
        return SmoothedClassifier(base, float(sigma), num_classes or 10).to(target).eval()
    assert source is not None
    if sigma is not None or normalize is not None:
        raise ValueError("expected --sigma and --normalize with --checkpoint only, got them with "
                         f"{source}; a model of ours carries its own")
    return SmoothedClassifier.load(model_path(source, weights), map_location=target)


def model_path(source: Path, weights: str) -> Path:
    """The model file in a run folder (``weights`` last or best), or the file itself; ValueError where there is none."""
    if weights not in ("last", "best"):
        raise ValueError(f"expected weights last or best, got {weights!r}")
    path = source / (MODEL if weights == "last" else BEST) if source.is_dir() else source
    if not path.exists():
        raise ValueError(f"expected a trained model in {path}, got no such file; run rsmooth train first")
    return path
