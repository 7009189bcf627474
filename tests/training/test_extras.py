"""Columns that a method needs: given, or made by the method before the run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor
from torch.utils.data import Dataset

from rsmooth.defenses import PseudoLabels, Trainer
from rsmooth.plumbing.errors import on_command_line
from rsmooth.training import Batch, RunStart
from tests.training.helpers import CLASSES, classifier, images, weights

OPTIONS: dict[str, Any] = {"epochs": 1, "batch_size": 12, "lr": 0.05, "precision": "float32"}


@dataclass(frozen=True, kw_only=True)
class Needy(Trainer):
    """Weighs each image by a probability that it needs."""

    needs: ClassVar[tuple[str, ...]] = ("doubt",)

    def losses(self, batch: Batch) -> Tensor:
        return batch.extras["doubt"][:, 0] * super().losses(batch)


@dataclass(frozen=True, kw_only=True)
class Maker(Needy):
    """Makes them by itself, and notes for what."""

    def make_extras(self, start: RunStart) -> Mapping[str, Tensor]:
        start.wait()
        SEEN.append((len(start.data), start.run_dir))
        return {"doubt": flat()}


SEEN: list[Any] = []


def flat(count: int = 24) -> Tensor:
    return torch.full((count, CLASSES), 1 / CLASSES)


def test_what_is_made_is_what_is_given(tmp_path: Path) -> None:
    """And what was given is not made."""
    SEEN.clear()
    made, given = classifier(), classifier()
    Maker(**OPTIONS).fit(made, images(), run_dir=tmp_path, progress=False)
    Maker(**OPTIONS).fit(given, images(), extras={"doubt": flat()}, progress=False)
    assert torch.equal(weights(made), weights(given))
    assert SEEN.pop() == (24, tmp_path)
    assert not SEEN


def test_a_column_that_was_made_is_part_of_the_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Maker(**OPTIONS).fit(classifier(), images(), run_dir=tmp_path, progress=False)
    other = torch.eye(CLASSES)[images().labels]
    monkeypatch.setattr(Maker, "make_extras", lambda self, start: {"doubt": other})
    with pytest.raises(ValueError, match="expected"):
        Maker(**OPTIONS).fit(classifier(), images(), run_dir=tmp_path, progress=False)


def test_what_a_command_line_cannot_give_is_not_asked_of_it() -> None:
    with on_command_line(), pytest.raises(ValueError, match=r"none; let the trainer make them by"):
        Needy(**OPTIONS).fit(classifier(), images(), progress=False)


@pytest.mark.parametrize(
    ("column", "said"),
    [
        (None, r"expected extras\['doubt'\] for Needy, got none; give them to fit"),
        (flat()[:, :2], r"as class probabilities \(N, 3\), .* got \(24, 2\)"),
        (2 * flat(), r"with a sum of 1, got \(24, 3\) torch.float32 of other values"),
        (torch.tensor([[2.0, -1.0, 0.0]]).expand(24, 3), "each row >= 0"),
        (torch.full((24, 3), torch.nan), "each row >= 0"),
        (torch.ones(24, 3, dtype=torch.int64), "torch.int64"),
        (flat(5), "with one row per training image"),
    ],
)
def test_what_a_method_needs_is_checked(column: Tensor | None, said: str) -> None:
    extras = None if column is None else {"doubt": column}
    with pytest.raises(ValueError, match=said):
        Needy(**OPTIONS).fit(classifier(), images(), extras=extras, progress=False)


def test_nothing_is_made_of_images_that_change() -> None:
    """Votes on one reading would be those of other images."""
    still = images()

    class Flipped(Dataset[tuple[Tensor, int]]):
        def __len__(self) -> int:
            return len(still)

        def __getitem__(self, i: int) -> tuple[Tensor, int]:
            image = still.images[i] / 255
            return (image.flip(2) if torch.rand(()) < 0.5 else image), int(still.labels[i])

    with pytest.raises(ValueError, match=r"of which Maker makes extras\['doubt'\], got a data set"):
        Maker(**OPTIONS).fit(classifier(), Flipped(), progress=False)
    Maker(**OPTIONS).fit(classifier(), Flipped(), extras={"doubt": flat()}, progress=False)


def test_nothing_is_made_beside_unlabelled_images() -> None:
    """They would be given the columns of the labelled images at their own positions."""
    SEEN.clear()
    options: dict[str, Any] = {"unlabelled": PseudoLabels(images(6)), "progress": False}
    with pytest.raises(ValueError, match=r"extras or unlabelled images, got both \(doubt\)"):
        Maker(**OPTIONS).fit(classifier(), images(), **options)
    assert not SEEN
