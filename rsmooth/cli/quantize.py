"""``rsmooth quantize``: a trained model as one of 8-bit integers, in a file of its own."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from rsmooth.cli.models import output_file
from rsmooth.cli.options import ModelOptions
from rsmooth.cli.verbs import VERBS
from rsmooth.config.images import choose_images, image_shape
from rsmooth.config.specs import Spec

if TYPE_CHECKING:
    from torch import Tensor

    from rsmooth.smoothed import SmoothedClassifier

INT8 = "model.int8.pt"


@VERBS.register("quantize", positionals=("source",))
def quantize(
    *,
    model: ModelOptions,
    dataset: Spec | None = None,
    max: int = 512,
    seed: int = 0,
    out: Path | None = None,
) -> None:
    """Make a model of 8-bit integers of a trained one: another classifier, certified by itself.

    Certificates of the one are none of the other.

    Args:
        dataset: the data set whose training images decide the steps of the integers; default: the
            one that the run was trained on
        max: how many training images, evenly spaced; they get one noise sample each
        seed: seed of that noise
        out: the model file to write; default: model.int8.pt in the run folder
    """
    import torch

    from rsmooth.data.convert import to_unit
    from rsmooth.models.int8.quantizing import quantize as make

    path = output_file(out or _beside(model.source))
    assert path is not None
    if max < 1:
        raise ValueError(f"expected max >= 1 images, got {max}; use e.g. --max 512")
    data = choose_images(dataset, model.source, split="train", skip=1, limit=None, only=None)
    places = torch.linspace(0, len(data) - 1, min(max, len(data))).round().long().tolist()
    images = to_unit(data.batch(places)[0])
    g = model.load(image_shape(data)).to("cpu")
    g8 = make(g, images, seed=seed)
    g8.save(path)
    print(
        f"{path}: 8-bit integers, by {len(images)} training images, {_agreement(g, g8, images)}; "
        f"certify it as a model of its own: rsmooth certify "
        f"{shlex.quote(str(path))} --dataset NAME --out FILE.jsonl"
    )


def _agreement(g: SmoothedClassifier, g8: SmoothedClassifier, images: Tensor) -> str:
    """How often the two networks agree. A machine may make integers that it cannot run."""
    import torch

    from rsmooth.models.int8.network import check_machine

    try:
        check_machine()
    except ValueError as error:
        why = str(error).partition(";")[0]
        return f"whose answers were not compared here ({why}: it runs on another machine)"
    with torch.no_grad():
        same = (g8.base(images).argmax(dim=1) == g.base(images).argmax(dim=1)).float().mean()
    return f"on which {100 * same:.1f} % of the answers are those of the network it was made from"


def _beside(source: Path | None) -> Path:
    if source is None or not source.is_dir():
        raise ValueError(
            f"expected a run folder to write to, got {source or 'a checkpoint'}; add --out {INT8}"
        )
    return source / INT8
