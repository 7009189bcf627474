"""Data sets in one .npz file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rsmooth.doctor.images import examine_images

X, Y = np.arange(4 * 8 * 8 * 3, dtype=np.uint8).reshape(4, 8, 8, 3), np.array([0, 1, 2, 1])


def test_splits_and_shapes(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x_train=X, y_train=Y, x_test=X[:3], y_test=Y[:3])
    report = examine_images(tmp_path / "a.npz")
    assert report.facts["splits"] == {"train": 4, "test": 3}
    assert report.facts["image_shape"] == [3, 8, 8]
    assert report.facts["classes"] == 3
    assert not report.marked("look", "wrong")
    assert report.commands == [
        f"rsmooth train runs/new --sigma 0.25 --dataset npz --dataset.path {tmp_path / 'a.npz'}"
    ]


def test_classes_without_images_and_flat_images(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x_test=np.zeros_like(X), y_test=np.array([0, 3, 3, 3]))
    report = examine_images(tmp_path / "a.npz")
    assert [each.text for each in report.marked("look")] == [
        "no images of classes 1, 2",
        "4 images are of one colour",
    ]


@pytest.mark.parametrize("labels", [np.array(["a", "b", "c", "d"]), np.array([0, 1])])
def test_what_the_reader_refuses_is_a_finding(tmp_path: Path, labels: np.ndarray) -> None:
    np.savez(tmp_path / "a.npz", x_test=X, y_test=labels)
    report = examine_images(tmp_path / "a.npz")
    [finding] = report.marked("wrong")
    assert "y_test of" in finding.text
    assert report.facts["readable"] is False
