"""``rsmooth predict``: certifiable predictions for image files or for a data set."""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from rsmooth.cli.models import output_file
from rsmooth.cli.options import DataOptions, ModelOptions, PredictionOptions
from rsmooth.cli.verbs import VERBS
from rsmooth.plumbing.files import replace_file

if TYPE_CHECKING:
    from torch import Tensor

PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".ppm", ".pgm", ".tif", ".tiff", ".webp")
IMAGES = ("images", "x", "x_test")  # what the array of an .npz file is called


@VERBS.register("predict", positionals=("source", "images*"))
def predict(
    model: ModelOptions,
    data: DataOptions,
    prediction: PredictionOptions,
    images: Sequence[Path] | None = None,
    layout: Literal["channels_first", "channels_last"] | None = None,
    seed: int = 0,
    batch_size: int = 64,
    out: Path | None = None,
) -> None:
    """Predict the class of images with the smoothed classifier, or abstain.

    A prediction differs from the true answer of g with probability at most alpha. Where the run
    folder holds certificates, the network is executed as they record it.

    Args:
        images: image files (.png, ...), folders of them, or .npz files with an array of images, in
            place of a data set
        layout: of arrays; default: where only one is possible
        seed: seed of the noise. Keep it secret from whoever chooses the images: who knows it can
            find an image with a wrong answer
        batch_size: images that are predicted at once
        out: a CSV file for the predictions; default: print them
    """
    from rsmooth.certify.cohen import predict as predict_images
    from rsmooth.data.convert import to_unit
    from rsmooth.models.state import device_of
    from rsmooth.records.log import ABSTAIN

    if batch_size < 1:
        raise ValueError(f"expected batch_size >= 1, got {batch_size}; use e.g. --batch_size 64")
    output_file(out)
    names, pixels, index, labels = _read(images, data, model.source, layout)
    g = model.load(tuple(pixels.shape[1:]))
    device = device_of(g)
    execution = _as_certified(model.source, device.type)
    rows: list[list[object]] = []
    for start in range(0, len(names), batch_size):
        part = slice(start, start + batch_size)
        made = predict_images(
            g,
            to_unit(pixels[part]).to(device),
            n=prediction.n,
            alpha=prediction.alpha,
            seed=seed,
            index=None if index is None else index[part],
            **execution,
        )
        answers = zip(names[part], made.label.tolist(), made.p_value.tolist(), strict=True)
        rows += [
            [name, "abstain" if label == ABSTAIN else label, f"{p_value:.3g}"]
            for name, label, p_value in answers
        ]
    if labels is not None:
        rows = [[*row, int(label)] for row, label in zip(rows, labels.tolist(), strict=True)]
    title = ["image", "prediction", "p_value", *(["label"] if labels is not None else [])]
    _write(title, rows, out)


def _as_certified(source: Path | None, device: str) -> dict[str, Any]:
    """The options of execution that the certificates of a run folder record, if there are any.

    A certificate holds for the network as it was executed. On another kind of device that cannot be
    had, which is said.
    """
    from rsmooth.records.files import log_of_run

    log = log_of_run(source)
    numerics = None if log is None else log.provenance.get("numerics")
    if not isinstance(numerics, dict):
        return {}
    if numerics["device"] != device:
        print(
            f"rsmooth predict: the certificates of {source} are of {numerics['device']}, and these "
            f"predictions of {device}, whose rounding differs; see docs/threat-model.md",
            file=sys.stderr,
        )
    return {
        "precision": numerics["dtype"],
        "batch_size": numerics["batch"],
        "compile": "always" if numerics["compiled"] == "inductor" else "never",
    }


def _read(
    files: Sequence[Path] | None, data: DataOptions, source: Path | None, layout: str | None
) -> tuple[list[str], Tensor, Tensor | None, Tensor | None]:
    """Names, uint8 pixels (N, C, H, W) and, for a data set, noise indices and labels."""
    if files and data != DataOptions():
        raise ValueError(
            "expected either image files or a data set with its split, skip and max, got both; "
            "leave one out"
        )
    if files:
        # Their noise depends on the content, not on the place in the command.
        return (*read_images(files, layout), None, None)
    chosen = data.choose(source)
    pixels, labels = chosen.batch(list(range(len(chosen))))
    return [str(i) for i in chosen.index.tolist()], pixels, chosen.index, labels


def read_images(files: Sequence[Path], layout: str | None = None) -> tuple[list[str], Tensor]:
    """Names and uint8 pixels (N, C, H, W) of image files, folders of them and arrays of images.

    ValueError for a file without images, and for images of several sizes.
    """
    import torch

    names: list[str] = []
    arrays: list[Tensor] = []
    for path in [each for named in files for each in _within(named)]:
        if not path.is_file():
            raise ValueError(f"expected an image file, got {path}, which is not there; name a file")
        if path.suffix == ".npz":
            arrays.append(_read_arrays(path, layout))
            names += [f"{path}[{i}]" for i in range(len(arrays[-1]))]
        else:
            arrays.append(_read_picture(path))
            names.append(str(path))
    shapes = {array.shape[1:] for array in arrays}
    if len(shapes) != 1:
        found = ", ".join(map(str, sorted(shapes)))
        raise ValueError(f"expected images of one size, got {found}; predict each size by itself")
    return names, torch.cat(arrays)


def _within(path: Path) -> list[Path]:
    """The image files of a folder by name, or the one file; ValueError for a folder without any."""
    if not path.is_dir():
        return [path]
    found = [each for each in path.iterdir() if each.suffix.lower() in PICTURES]
    if not found:
        raise ValueError(
            f"expected image files in the folder {path}, got none of {', '.join(PICTURES)}; name a "
            "folder that holds images, or files"
        )
    return sorted(found)


def _read_arrays(path: Path, layout: str | None) -> Tensor:
    """The images (N, C, H, W) named images, x or x_test, or the first array."""
    from rsmooth.data.arrays import eight_bit, read_npz

    def choose(there: list[str]) -> list[str]:
        return [name for name in (*IMAGES, *there) if name in there][:1]

    found = read_npz(path, choose)
    if not found:
        raise ValueError(
            f"expected an .npz file with an array of images, got {path}, which is empty; save it "
            "again with np.savez(path, images=images)"
        )
    name, array = next(iter(found.items()))
    return eight_bit(array, f"{name} of {path}", layout)


def _read_picture(path: Path) -> Tensor:
    """One image (1, C, H, W) of 1 or 3 channels."""
    from torchvision.transforms.functional import pil_to_tensor

    from rsmooth.data.pictures import read_picture

    pixels: Tensor = pil_to_tensor(read_picture(path))[None]
    return pixels


def _write(title: list[str], rows: list[list[object]], out: Path | None) -> None:
    if out is None:
        csv.writer(sys.stdout, lineterminator="\n").writerows([title, *rows])
        return
    text = io.StringIO(newline="")
    csv.writer(text).writerows([title, *rows])
    replace_file(out, text.getvalue().encode())
