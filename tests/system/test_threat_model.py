"""docs/threat-model.md is true: its code runs, and what it says of the functions holds."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from rsmooth import SmoothedClassifier, certify, predict
from rsmooth.certify import CertifySettings, certify_dataset
from rsmooth.certify.settings import Precision
from rsmooth.certify.votes.noisy import noisy_images
from rsmooth.cli import main
from rsmooth.cli.main import parse
from rsmooth.data import load_dataset
from rsmooth.data.convert import to_unit
from rsmooth.noise import Gaussian, GridSampler, Laplace, Uniform, derive_key
from rsmooth.registry import MODELS
from tests.certify.nets import images, small_net

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "threat-model.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(
        rf"^```{re.escape(language)}\n(.*?)^```$", PAGE, flags=re.DOTALL | re.MULTILINE
    )


def test_its_code_runs_and_its_commands_are_understood() -> None:
    (code,) = blocks("{code-cell} ipython3")
    exec(compile(code, "threat-model.md", "exec"), {})
    (command,) = blocks("console")
    _, _, verb, *arguments = shlex.split(command)
    parse(verb, arguments)


def test_readme_links_to_it_and_its_lines_are_short() -> None:
    assert "(docs/threat-model.md)" in (ROOT / "README.md").read_text(encoding="utf-8")
    lines = [line for line in PAGE.splitlines() if not line.startswith("|")]
    assert max(map(len, lines)) <= 120


def test_the_network_sees_8_bit_levels_plus_integers_never_clamped() -> None:
    noise, x, ids = Gaussian(0.5), images(2), torch.tensor([7, 8])
    source = noisy_images("integer", noise, 3, x.shape[1:])
    points = source.points("estimate", x, ids, torch.tensor([0, 5]))
    k = GridSampler(noise).sample(derive_key(3, "estimate"), ids, torch.tensor([0, 5]), (1, 4, 4))
    expected = torch.tensor(
        [(int(a) + int(b)) / 255 for a, b in zip(x.flatten(), k.flatten(), strict=True)]
    )
    assert torch.equal(points.flatten(), expected)
    assert points.min() < 0 or points.max() > 1


def test_the_total_variation_is_as_small_as_it_says() -> None:
    for noise in (Gaussian(0.12), Gaussian(0.25), Gaussian(0.5), Gaussian(1.0), Uniform(0.5)):
        assert noise.total_variation(3 * 32 * 32) < 2e-13
        assert noise.total_variation(3 * 224 * 224) < 1e-10
    assert Laplace(1.0).total_variation(3 * 224 * 224) < 1e-10


@pytest.mark.parametrize(("off", "refused"), [(0.9e-4, False), (1.1e-4, True)])
def test_predict_takes_images_near_a_level_only(off: float, refused: bool) -> None:
    x = images(1).double() / 255
    x[0, 0, 0, 0] = (100 + off) / 255
    if refused:
        with pytest.raises(ValueError, match="8-bit images"):
            predict(small_net(), x, n=20)
    else:
        assert len(predict(small_net(), x, n=20).label) == 1


class NarrowOrWide(nn.Module):
    """Class 0 by a little on three copies of five, class 1 by far on the others."""

    def forward(self, z: Tensor) -> Tensor:
        first = z[:, 0, 0, 0]
        zero = torch.where(first < 0.5 + 0.25 * 0.25, 0.1, -9.0)
        return torch.stack([zero, torch.zeros_like(zero)], dim=1)


def test_the_forward_pass_may_answer_otherwise_than_g() -> None:
    g = SmoothedClassifier(NarrowOrWide(), 0.25, 2, num_noise=4096)
    x = torch.full((1, 1, 2, 2), 128 / 255)
    assert int(predict(g, x, n=4000).label) == 0
    with g.frozen_noise(0):
        assert int(g(x).argmax()) == 1


def test_rsmooth_predict_executes_the_network_as_the_certificates_record_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    base = MODELS.create("small-cnn", num_classes=10, in_channels=1)
    g = SmoothedClassifier(base, 0.25, 10)
    g.save(tmp_path / "model.pt")
    data = load_dataset("digits").test.subset(range(2))
    settings = CertifySettings(n=100, precision="bfloat16", batch_size=96)
    certify_dataset(g, data, tmp_path, settings, progress=False)
    seen = {}

    def watched(*args: object, **options: object) -> object:
        seen.update(options)
        return predict(*args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr("rsmooth.certify.cohen.predict", watched)
    assert main(["predict", str(tmp_path), "--dataset", "digits", "--max", "2", "--n", "100"]) == 0
    expected = {"precision": "bfloat16", "batch_size": 96, "compile": "never"}
    assert {name: seen[name] for name in expected} == expected
    assert "rounding differs" not in capsys.readouterr().err


def test_certificates_depend_on_the_executed_dtype() -> None:
    """So it is recorded, and a prediction has to use the same."""
    x = to_unit(images(8))
    dtypes: tuple[Precision, Precision] = ("float32", "bfloat16")
    found = {dtype: certify(small_net(), x, n=2000, precision=dtype) for dtype in dtypes}
    assert not torch.equal(found["float32"].counts, found["bfloat16"].counts)
    assert {one.provenance["numerics"]["dtype"] for one in found.values()} == set(found)
