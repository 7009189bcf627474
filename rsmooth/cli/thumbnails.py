"""The images of certified runs, for a report that shows them beside their rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rsmooth.config.images import as_option, choose_images
from rsmooth.config.specs import Spec

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from rsmooth.data.files import FolderData
    from rsmooth.data.images import ImageData
    from rsmooth.report.runs import Run

OF_RUN = "run"  # the data set that the first run folder names


def thumbnails(
    images: Spec, runs: Sequence[Run], sources: Sequence[Path]
) -> tuple[dict[int, NDArray[np.uint8]], list[str] | None]:
    """Pixels (H, W) or (H, W, 3) by idx of the images of the first run, and names of the classes.

        pictures, classes = thumbnails("digits", load_runs(["runs/a"]), [Path("runs/a")])

    images: a data set, or "run" for the one that the first run folder names.
    sources: where the runs were read from.

    The names are those of class folders, else None. ValueError where these are not the images that
    were certified: their fingerprint differs, or without one their labels.
    """
    log, first = runs[0].log, sources[0]
    asked = images.get("name") if isinstance(images, Mapping) else images
    recorded = runs[0].setting("dataset")
    known: dict[str, Any] = recorded if isinstance(recorded, dict) else {}
    with as_option("images"):
        data = choose_images(
            None if asked == OF_RUN else images,
            first if first.is_dir() else first.parent,
            split=known.get("split") or "test",
            skip=1,
            limit=None,
            only=[int(idx) for idx in log.idx],
        )
    same_labels = data.labels.tolist() == log.label.tolist()
    mark = known.get("fingerprint")
    if not same_labels or (mark is not None and data.fingerprint() != mark):
        raise ValueError(
            f"expected the images that {runs[0].name} was certified on, got others from "
            f"{data.name} ({'fingerprint' if same_labels else 'labels'} of the {data.split} split "
            "differ); name its data set with --images, or leave that out"
        )
    return _pixels(data), _classes(data)


def _pixels(data: ImageData | FolderData) -> dict[int, NDArray[np.uint8]]:
    import numpy as np

    found = {}
    for at, idx in enumerate(data.index.tolist()):
        image = data.batch([at])[0][0]
        pixels = image.numpy() if image.dtype.itemsize == 1 else (255 * image).round().numpy()
        planes = np.moveaxis(pixels.astype(np.uint8), 0, -1)
        found[idx] = planes if planes.shape[-1] == 3 else planes[..., 0]
    return found


def _classes(data: ImageData | FolderData) -> list[str] | None:
    """Names of the classes 0, 1, ... where each image lies in the folder of its class."""
    paths = getattr(data, "paths", None)
    if paths is None:
        return None
    names = {
        label: Path(path).parent.name
        for label, path in zip(data.labels.tolist(), paths, strict=True)
    }
    return [names.get(label, "") for label in range(max(names) + 1)]
