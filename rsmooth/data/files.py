"""Images that stay in files until a batch asks for them."""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from rsmooth.data.images import check_labels_and_index
from rsmooth.data.pictures import read_picture

PADDING = 4  # of images that are taken whole, in pixels
CROP_AREA, CROP_RATIO, CROP_TRIES = (0.08, 1.0), (3 / 4, 4 / 3), 10


@dataclass(frozen=True, eq=False)
class FolderData:
    """Images of one split, read from their files batch by batch.

        images, labels = load_dataset("folder", root="imagenet").test.batch([0, 1])

    root: the folder that the paths start from.
    paths: one per image.
    labels, index: int64 (N,).
    image_size: height and width S of the images of a batch, which are uint8 (B, 3, S, S).
    whole: files of just that size are taken whole.
    resize: the shorter side before the central part is cropped; None for 256 / 224 of S.
    numbered_by_place: whether labels count the folders that are there, and follow no list of
        classes. They are those of a model only where it has as many classes.

    Fields and methods are those of ImageData, but there are no ``images``. ValueError for fields
    that do not fit together.
    """

    root: Path
    paths: tuple[str, ...]
    labels: Tensor
    index: Tensor
    num_classes: int
    name: str
    split: str
    image_size: int
    whole: bool = False
    resize: int | None = None
    numbered_by_place: bool = False

    def __post_init__(self) -> None:
        if self.image_size < 1:
            raise ValueError(f"expected image_size >= 1, got {self.image_size}")
        if self.resize is not None and self.resize < self.image_size:
            raise ValueError(
                f"expected resize >= image_size = {self.image_size}, got {self.resize}; the part "
                "that is cropped must lie within the image"
            )
        check_labels_and_index(self.labels, self.index, len(self.paths), self.num_classes)

    def __len__(self) -> int:
        return len(self.paths)

    def batch(
        self, positions: Tensor | Sequence[int], generator: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor]:
        """Images uint8 (B, 3, S, S) and labels (B,) at the positions given.

            images, labels = data.batch([0, 1])

        generator: None, or one on the CPU.

        Without a generator each image is resized (shorter side 256 for S = 224, or ``resize``) and
        cropped at the centre, as the published results are evaluated. With one, a random part of
        it is resized, and flipped with probability 1/2, as they are trained. Images that are taken
        ``whole`` are padded by 4 black pixels, cropped to the old size, and flipped; ValueError for
        another size.
        """
        positions = torch.as_tensor(positions, dtype=torch.int64, device="cpu")
        draws = _draws(len(positions), generator)
        files = [self.root / self.paths[i] for i in positions.tolist()]
        with ThreadPoolExecutor(_threads()) as pool:
            images = list(pool.map(self._image, files, draws))
        if images:
            return torch.stack(images), self.labels[positions]
        shape = (0, 3, self.image_size, self.image_size)
        return torch.empty(shape, dtype=torch.uint8, device="cpu"), self.labels[positions]

    def _image(self, file: Path, draw: Tensor | None) -> Tensor:
        if self.whole:
            return _read_whole(file, self.image_size, draw)
        side = round(self.image_size * 256 / 224) if self.resize is None else self.resize
        return _read(file, side, self.image_size, draw)

    def subset(self, positions: Tensor | Sequence[int]) -> FolderData:
        """The images at some positions, in that order, each with its index."""
        positions = torch.as_tensor(positions, dtype=torch.int64, device="cpu")
        return replace(
            self,
            paths=tuple(self.paths[i] for i in positions.tolist()),
            labels=self.labels[positions],
            index=self.index[positions],
        )

    def fingerprint(self) -> str:
        """What names the images in records: 16 hexadecimal digits of SHA-256.

        Over image_size, resize, and the path, content, label and index of each file. It reads every
        file, so take the subset first. Pixels are what Pillow makes of the content. A version of
        Pillow that decodes or resizes otherwise goes unnoticed.
        """
        with ThreadPoolExecutor(_threads()) as pool:
            return self._digest(
                pool.map(
                    lambda path: hashlib.sha256((self.root / path).read_bytes()).hexdigest(),
                    self.paths,
                )
            )

    def listing(self) -> str:
        """As ``fingerprint``, over sizes in place of contents.

        For training images, which are too many to read at each start.
        """
        return self._digest((self.root / path).stat().st_size for path in self.paths)

    def _digest(self, contents: Iterable[str | int]) -> str:
        taken = " whole" if self.whole else "" if self.resize is None else f" of {self.resize}"
        digest = hashlib.sha256(f"{self.image_size}{taken}".encode())
        for path, content, label, index in zip(
            self.paths, contents, self.labels.tolist(), self.index.tolist(), strict=True
        ):
            digest.update(f"\n{Path(path).as_posix()} {content} {label} {index}".encode())
        return digest.hexdigest()[:16]

    def __repr__(self) -> str:
        return (
            f"FolderData({self.name} {self.split}: {len(self)} files as (3, {self.image_size}, "
            f"{self.image_size}), {self.num_classes} classes)"
        )


def _threads() -> int:
    return min(32, os.cpu_count() or 1)


def _draws(count: int, generator: torch.Generator | None) -> Sequence[Tensor | None]:
    """The random numbers (CROP_TRIES + 1, 4) of each image; None without a generator."""
    if generator is None:
        return [None] * count
    # All at once, since the result must not depend on the order in which threads run.
    shape = (count, CROP_TRIES + 1, 4)
    return list(torch.rand(shape, generator=generator, dtype=torch.float64, device="cpu"))


def _read(file: Path, side: int, size: int, draw: Tensor | None) -> Tensor:
    """One image as uint8 (3, size, size)."""
    # Here, since it loads torch's compiler, which takes seconds.
    from torchvision.transforms import functional as transforms

    image = read_picture(file).convert("RGB")
    if draw is None:
        image = transforms.center_crop(transforms.resize(image, side), [size, size])
    else:
        image = transforms.resized_crop(
            image, *_random_part(image.height, image.width, draw), [size, size]
        )
        if draw[-1, 0] < 0.5:
            image = transforms.hflip(image)
    pixels: Tensor = transforms.pil_to_tensor(image)
    return pixels


def _read_whole(file: Path, size: int, draw: Tensor | None) -> Tensor:
    """An image of just this size as uint8 (3, size, size)."""
    pixels = torch.from_numpy(np.array(read_picture(file).convert("RGB"))).permute(2, 0, 1)
    if pixels.shape[1:] != (size, size):
        raise ValueError(
            f"expected an image of {size}x{size} pixels, got {file} of "
            f"{pixels.shape[2]}x{pixels.shape[1]}; use the data set 'folder', which resizes"
        )
    if draw is None:
        return pixels.contiguous()
    top, left = (int(value * (2 * PADDING + 1)) for value in draw[0, :2].tolist())
    padded = pad(pixels, (PADDING,) * 4)
    cropped = padded[:, top : top + size, left : left + size]
    return (cropped.flip(2) if draw[-1, 0] < 0.5 else cropped).contiguous()


def _random_part(height: int, width: int, draw: Tensor) -> tuple[int, int, int, int]:
    """Top, left, height and width of a random part of an image.

    draw: uniform numbers (CROP_TRIES + 1, 4).

    The part has 8 to 100 % of the area and an aspect ratio of 3/4 to 4/3. If no try fits the image,
    it is the largest central square. Szegedy et al. 2014 (arXiv:1409.4842), section 6.
    """
    low, high = math.log(CROP_RATIO[0]), math.log(CROP_RATIO[1])
    for area, ratio, down, right in draw[:CROP_TRIES].tolist():
        target = height * width * (CROP_AREA[0] + area * (CROP_AREA[1] - CROP_AREA[0]))
        aspect = math.exp(low + ratio * (high - low))
        w, h = round(math.sqrt(target * aspect)), round(math.sqrt(target / aspect))
        if 0 < w <= width and 0 < h <= height:
            return int(down * (height - h + 1)), int(right * (width - w + 1)), h, w
    side = min(height, width)
    return (height - side) // 2, (width - side) // 2, side, side
