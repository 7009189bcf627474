"""``rsmooth certify``: runs and published checkpoints to records, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from rsmooth.cli import main
from tests.cli.helpers import CERTIFY, error_of


def test_certification_resumes_and_writes_the_published_table(run: Path) -> None:
    journal = (run / "certificates.jsonl").read_bytes()
    assert main(["certify", str(run), *CERTIFY]) == 0
    assert (run / "certificates.jsonl").read_bytes() == journal
    assert (run / "certificates.tsv").read_text().split("\n")[0].split() == [
        "idx",
        "label",
        "predict",
        "radius",
        "correct",
        "time",
    ]


def test_modes_of_certification_reach_the_record(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "grid.jsonl"
    assert (
        main(
            [
                "certify",
                str(run),
                *CERTIFY,
                "--mode",
                "grid",
                "--radii",
                "0.1,64/255",
                "--precision",
                "float32",
                "--arithmetic",
                "float",
                "--target",
                "label",
                "--out",
                str(out),
            ]
        )
        == 0
    )
    header = json.loads(out.read_text().split("\n")[0])["data"]
    assert (header["mode"], header["mode_options"]) == ("grid", {"radii": [0.1, 64 / 255]})
    assert (header["target"], header["numerics"]["dtype"]) == ("label", "float32")


@pytest.mark.parametrize("word", ["float", "grid"])
def test_the_arithmetic_may_be_called_noise_for_a_release(
    word: str, run: Path, tmp_path: Path
) -> None:
    out = tmp_path / "x.jsonl"
    few = [*CERTIFY, "--out", str(out)]
    with pytest.warns(FutureWarning, match=f"--noise {word} is now called --arithmetic"):
        assert main(["certify", str(run), *few, "--noise", word]) == 0
    header = json.loads(out.read_text().split("\n")[0])["data"]
    assert ("float" in json.dumps(header["noise"])) == (word == "float")


def test_a_published_checkpoint_takes_one_noise(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["certify", "--checkpoint", "x.pth.tar", "--dataset", "digits", "--normalize", "none"]
    argv += ["--out", str(tmp_path / "x.jsonl")]
    assert "noise=None; e.g." in error_of(capsys, *argv)
    both = ["--sigma", "1", "--noise", "uniform", "--noise.half_width", "0.5"]
    assert "--sigma or --noise beside --checkpoint" in error_of(capsys, *argv, *both)
    assert "'uniform' to be given half_width" in error_of(capsys, *argv, "--noise", "uniform")
    assert "did you mean 'laplace'" in error_of(capsys, *argv, "--noise", "laplac")


def test_lists_are_written_with_commas(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "two.jsonl"
    assert (
        main(
            [
                "certify",
                str(run),
                "--n",
                "100",
                "--images",
                "1297,1299",
                "--progress",
                "false",
                "--out",
                str(out),
            ]
        )
        == 0
    )
    assert main(["report", str(run), str(out), "--names", "all,two"]) == 0


def test_a_published_checkpoint_from_file_to_certificates(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Keys of either wrapper; the number of classes is that of the file, not of the labels."""
    import torch

    from rsmooth import MODELS

    torch.manual_seed(0)
    weights = MODELS.create("resnet20", num_classes=10, normalize="cifar10")[1].state_dict()
    images = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), dtype=np.uint8)
    np.savez(tmp_path / "few.npz", x_test=images, y_test=np.array([3, 1, 2]))
    np.savez(tmp_path / "many.npz", x_test=images, y_test=np.array([3, 1, 20]))
    certified = []
    for prefix in ("1.", "1.module."):
        path = tmp_path / f"{prefix}pth.tar"
        torch.save(
            {
                "epoch": 90,
                "arch": "cifar_resnet20",
                "optimizer": {},
                "state_dict": {prefix + name: tensor for name, tensor in weights.items()},
            },
            path,
        )
        argv = [
            "certify",
            "--checkpoint",
            str(path),
            "--normalize",
            "cifar10",
            "--sigma",
            "0.25",
            "--n",
            "20",
            "--n0",
            "5",
            "--precision",
            "float32",
            "--out",
            str(tmp_path / f"{prefix}jsonl"),
            "--progress",
            "false",
        ]
        assert main([*argv, "--dataset", "npz", "--dataset.path", str(tmp_path / "few.npz")]) == 0
        certified.append(
            [
                line.split("\t")[:5]
                for line in (tmp_path / f"{prefix}tsv").read_text().split("\n")[1:-1]
            ]
        )
    assert certified[0] == certified[1]
    assert "labels within 0..9" in error_of(
        capsys, *argv, "--dataset", "npz", "--dataset.path", str(tmp_path / "many.npz")
    )
    assert "expected images of 3 channels" in error_of(capsys, *argv, "--dataset", "digits")


def test_missing_models_and_data(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "expected a data set, got none" in error_of(capsys, "certify", str(tmp_path))
    assert "run rsmooth train first" in error_of(
        capsys, "certify", str(tmp_path), "--dataset", "digits"
    )
    assert "--sigma or --noise beside --checkpoint" in error_of(
        capsys,
        "certify",
        "--checkpoint",
        "x.pth.tar",
        "--dataset",
        "digits",
        "--out",
        str(tmp_path / "x.jsonl"),
    )
    assert "RSMOOTH_NOWHERE" in error_of(
        capsys, "certify", str(tmp_path), "--dataset", "npz", "--dataset.path", "$RSMOOTH_NOWHERE"
    )


def test_images_and_samples_that_cannot_be(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = str(tmp_path / "x.jsonl")
    assert "which it lacks" in error_of(
        capsys, "certify", str(run), "--images", "[5]", "--out", out
    )
    assert "expected n >= 11 at alpha=0.001" in error_of(
        capsys, "certify", str(run), "--n", "5", "--out", out
    )


@pytest.mark.parametrize(
    ("images", "said"), [("[]", "at least one image"), ("1297,1297", "each once")]
)
def test_images_that_repeat_or_are_none(
    run: Path, images: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert said in error_of(
        capsys, "certify", str(run), "--images", images, "--out", str(tmp_path / "x.jsonl")
    )


def test_damaged_configurations(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "model.pt").write_bytes((run / "model.pt").read_bytes())
    for content, said in (
        ("a: [1\n", "expected YAML in"),
        ("sigma: 1\n", "expected the key dataset"),
        ("- a\n", "expected a mapping"),
    ):
        (tmp_path / "config.yaml").write_text(content)
        assert said in error_of(capsys, "certify", str(tmp_path), "--n", "100")
