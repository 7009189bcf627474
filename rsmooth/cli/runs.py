"""The run folder: where a verb leaves what the next one needs, and what says that both speak of the
same run.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from rsmooth.plumbing.files import replace_file

if TYPE_CHECKING:
    import torch

    from rsmooth.smoothed import SmoothedClassifier

CONFIG, MODEL, BEST, CERTIFICATES = "config.yaml", "model.pt", "best.pt", "certificates.jsonl"
TRAINED = (MODEL, BEST, "checkpoint.pt", "metrics.jsonl")


def claim(run: Path, config: dict[str, Any]) -> None:
    """Make ``run`` the folder of this configuration; ValueError if it holds a run with another one,
    or of none.
    """
    path = run / CONFIG
    if path.exists():
        differing = differences(read_config(run), config)
        if differing:
            raise ValueError(
                f"expected the configuration that {path} holds, got {'; '.join(differing)}; "
                "take another run folder, or give the same options to go on with this one"
            )
        return
    if run.exists() and not run.is_dir():
        raise ValueError(f"expected a run folder, got {run}, which is a file; name a new folder")
    foreign = [name for name in TRAINED if (run / name).exists()]
    if foreign:
        raise ValueError(
            f"expected a new folder, or that of a run, got {run}, which holds "
            f"{', '.join(foreign)} but no "
            f"{CONFIG}; name a new folder, so that nothing there is overwritten"
        )
    replace_file(path, yaml.safe_dump(config, sort_keys=False).encode())


def first_rank() -> bool:
    """Whether this is the process that writes and speaks for all: the only one, or the first that
    torchrun started.
    """
    return os.environ.get("RANK", "0") == "0"


def read_config(run: Path) -> dict[str, Any]:
    """The configuration that a run folder was made with; ValueError where it is no mapping."""
    try:
        config = yaml.safe_load((run / CONFIG).read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(
            f"expected YAML in {run / CONFIG}, got what cannot be read so: {error}"
        ) from None
    if not isinstance(config, dict):
        raise ValueError(
            f"expected a mapping of options in {run / CONFIG}, got {type(config).__name__}"
        )
    return config


def differences(old: Any, new: Any, key: str = "") -> list[str]:
    """Each leaf in which two configurations differ; a part's bare name is the same as a mapping of
    just the name.
    """
    if isinstance(old, str) and isinstance(new, dict):
        old = {"name": old}
    if isinstance(new, str) and isinstance(old, dict):
        new = {"name": new}
    if isinstance(old, dict) and isinstance(new, dict):
        found = []
        for name in [*old, *(name for name in new if name not in old)]:
            found += differences(
                old.get(name), new.get(name), f"{key}.{name}" if key else str(name)
            )
        return found
    return [] if old == new else [f"{key} = {new!r} where it has {old!r}"]


def output_file(path: Path | None) -> Path | None:
    """A file to write at the end of long work; ValueError now if it could not be written then."""
    if path is not None and (
        path.is_dir() or not os.access(path if path.exists() else path.parent, os.W_OK)
    ):
        raise ValueError(
            f"expected a file in a folder that can be written to, got {path}; make the folder first"
        )
    return path


def pick_device(device: str) -> torch.device:
    """The device of that name; "auto" is CUDA where there is one. ValueError for CUDA where there
    is none.

    Under torchrun each process gets the GPU of its own number, unless a number is given.
    """
    import torch

    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        picked = torch.device(device)
    except RuntimeError:
        raise ValueError(f"expected a device such as cpu, cuda or auto, got {device!r}") from None
    if picked.type == "cuda":
        if not torch.cuda.is_available():
            raise ValueError(
                f"expected a device of this machine, got {device!r}, and it has no CUDA; use cpu "
                "or auto"
            )
        if ":" not in device and "LOCAL_RANK" in os.environ:
            picked = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
            torch.cuda.set_device(picked)
    return picked


def check_fits(g: SmoothedClassifier, shape: tuple[int, ...]) -> None:
    """ValueError unless g's base classifier takes images (C, H, W) and answers with as many classes
    as g has.
    """
    import torch

    training, device = g.training, next(g.parameters()).device
    try:
        with torch.no_grad():
            g.eval().log_probs(torch.zeros(1, 1, *shape, device=device))
    except RuntimeError as error:
        raise ValueError(
            f"expected a model for images {tuple(shape)} (C, H, W), got one that refuses them "
            f"({error}); choose another model or other images"
        ) from None
    finally:
        g.train(training)


def load_model(
    source: Path | None,
    *,
    weights: str,
    checkpoint: Path | None,
    normalize: str | None,
    sigma: float | None,
    device: str,
    shape: tuple[int, ...],
) -> SmoothedClassifier:
    """The smoothed classifier of a run folder, of a model file, or of a published checkpoint, on
    its device.

    A published checkpoint knows neither sigma nor its normalisation; ValueError if either is not
    said, or if the model does not take images of this shape (C, H, W).
    """
    from rsmooth.models.checkpoints import load_checkpoint
    from rsmooth.plumbing.numbers import check_sigma
    from rsmooth.smoothed import SmoothedClassifier

    target = pick_device(device)
    if (source is None) == (checkpoint is None):
        raise ValueError(
            "expected either a run folder (or model file) or --checkpoint, got "
            f"{'neither' if source is None else 'both'}; name one of them"
        )
    if checkpoint is not None:
        if sigma is None or normalize is None:
            raise ValueError(
                "expected --sigma and --normalize beside --checkpoint, since a published "
                "checkpoint holds "
                f"neither, got sigma={sigma} and normalize={normalize}; e.g. --sigma 0.25 "
                "--normalize cifar10"
            )
        base = load_checkpoint(checkpoint, normalize=normalize)
        assert base.architecture is not None
        g = (
            SmoothedClassifier(
                base, check_sigma(sigma), base.architecture["options"]["num_classes"]
            )
            .to(target)
            .eval()
        )
        check_fits(g, shape)
        return g
    assert source is not None
    if sigma is not None or normalize is not None:
        raise ValueError(
            "expected --sigma and --normalize with --checkpoint only, got them with "
            f"{source}; a model of ours carries its own"
        )
    g = SmoothedClassifier.load(model_path(source, weights), map_location=target)
    check_fits(g, shape)
    return g


def model_path(source: Path, weights: str) -> Path:
    """The model file in a run folder (``weights`` last or best), or the file itself; ValueError
    where there is none.
    """
    if weights not in ("last", "best"):
        raise ValueError(f"expected weights last or best, got {weights!r}")
    path = source / (MODEL if weights == "last" else BEST) if source.is_dir() else source
    if not path.exists():
        raise ValueError(
            f"expected a trained model in {path}, got no such file; run rsmooth train first"
        )
    return path
