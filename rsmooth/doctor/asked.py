"""What somebody asks about a file, beside its name."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rsmooth.data.splits import load_dataset
from rsmooth.doctor.sample import Sample, sample

if TYPE_CHECKING:
    from rsmooth.data.files import FolderData
    from rsmooth.data.images import ImageData


@dataclass(frozen=True)
class Asked:
    """The options of ``examine``, which describes them."""

    images: ImageData | FolderData | None = None
    options: str = ""
    entry: str | None = None
    out: Path | None = None
    sigma: float | None = None
    unit: str | None = None

    def sample(self) -> Sample | None:
        """The images that were given; None without any."""
        return None if self.images is None else sample(self.images, self.options)


def digits() -> Sample:
    """The test images of the embedded digits."""
    data = load_dataset("digits").test
    assert data is not None
    return sample(data, "--dataset digits")
