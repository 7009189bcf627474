"""A network of integers is a classifier like any other: certified, recorded, and taken for none."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from rsmooth import SmoothedClassifier, certify, predict
from rsmooth.certify import CertifySettings, certify_dataset
from rsmooth.certify.run.header import is_hash_of, model_hash
from rsmooth.certify.votes.profile import Profile, plain_profile, recall_profile
from rsmooth.data import load_dataset, to_unit
from rsmooth.models import quantize
from rsmooth.plumbing.errors import RecordError
from rsmooth.records.files import read_log
from rsmooth.registry import MODELS
from tests.models.int8.nets import needs_int8
from tests.system.pages import blocks

pytestmark = needs_int8
PAGE = Path(__file__).parents[2] / "docs" / "int8.md"
SETTINGS = CertifySettings(n=200, n0=20)
SHAPE = torch.Size((1, 8, 8))


@pytest.fixture(scope="module")
def pair() -> tuple[SmoothedClassifier, SmoothedClassifier]:
    """A classifier and the one of integers that is made of it."""
    torch.manual_seed(0)
    base = MODELS.create("small-cnn", num_classes=10, in_channels=1, width=8)
    images = to_unit(load_dataset("digits").train.images[:64])
    base(images)
    g = SmoothedClassifier(base.eval(), 0.25, 10).eval()
    return g, quantize(g, images)


def digits(count: int = 6):
    return load_dataset("digits").test.subset(list(range(count)))


Pair = tuple[SmoothedClassifier, SmoothedClassifier]


def test_its_record_says_int8_and_the_instructions(pair: Pair, tmp_path: Path) -> None:
    for workers in (1, 2):
        certify_dataset(
            pair[1], digits(), tmp_path / str(workers), SETTINGS, workers=workers, progress=False
        )
    first, second = (read_log(tmp_path / str(workers)) for workers in (1, 2))
    numerics = first.provenance["numerics"]
    assert (numerics["dtype"], numerics["compiled"], numerics["device"]) == ("int8", "no", "cpu")
    assert numerics["device_name"].split()[-1] in ("AVX512_VNNI", "AMX_INT8")
    assert first.counts.tolist() == second.counts.tolist()
    said = first.provenance["model"]
    assert said["architecture"]["name"] == "int8"
    assert said["architecture"]["options"]["made"]["images"] == 64
    assert is_hash_of(said["hash"], pair[1])
    assert not is_hash_of(said["hash"], pair[0])
    # The votes are those of its exact definition.
    exact = certify(pair[1], digits().images, n=200, n0=20, batch_size=7)
    again = certify(pair[1], digits().images.flip(0), n=200, n0=20, batch_size=128)
    assert exact.counts.tolist() == again.counts.flip(0).tolist()


def test_no_certificate_of_the_one_is_taken_for_one_of_the_other(
    pair: Pair, tmp_path: Path
) -> None:
    g, g8 = pair
    assert model_hash(g) != model_hash(g8)
    for own, other in ((g, g8), (g8, g)):
        folder = tmp_path / type(own.base).__name__
        certify_dataset(own, digits(), folder, SETTINGS, workers=1, progress=False)
        with pytest.raises(RecordError, match=r"model\.hash"):
            certify_dataset(other, digits(), folder, SETTINGS, workers=1, progress=False)
        with pytest.raises(RecordError, match="model"):
            certify_dataset(
                other,
                digits(),
                tmp_path / "more",
                CertifySettings(n=200, n0=20, seed=1),
                workers=1,
                progress=False,
                extends=read_log(folder),
            )


def test_a_run_goes_on_and_is_extended_in_integers(pair: Pair, tmp_path: Path) -> None:
    certify_dataset(pair[1], digits(), tmp_path / "a", SETTINGS, workers=1, progress=False)
    whole = certify_dataset(pair[1], digits(), tmp_path / "a", SETTINGS, workers=1, progress=False)
    more = certify_dataset(
        pair[1],
        digits(),
        tmp_path / "b",
        CertifySettings(n=200, n0=20, seed=1),
        workers=1,
        progress=False,
        extends=whole,
    )
    assert more.provenance["numerics"] == whole.provenance["numerics"]


def test_predictions_take_the_recorded_numerics(pair: Pair) -> None:
    x = digits().images
    recorded = certify(pair[1], x, n=200, n0=20).provenance["numerics"]
    answer = predict(
        pair[1],
        x,
        n=200,
        precision=recorded["dtype"],
        batch_size=recorded["batch"],
        compile="never",
    )
    assert answer.label.tolist() == predict(pair[1], x, n=200).label.tolist()


@pytest.mark.parametrize(
    ("which", "options", "said"),
    [
        (1, {"precision": "bfloat16"}, "expected precision 'auto' or 'int8' for an Int8Network"),
        (1, {"precision": "float32"}, "leave precision out"),
        (1, {"compile": "always"}, "expected compile 'auto' or 'never' for an Int8Network"),
        (0, {"precision": "int8"}, "expected an Int8Network for precision='int8', got Classifier"),
    ],
)
def test_settings_that_do_not_fit_are_refused(
    pair: Pair, which: int, options: dict[str, str], said: str
) -> None:
    for call in (certify, predict):
        with pytest.raises(ValueError, match=said):
            call(pair[which], digits().images, n=200, **options)


def test_a_recorded_profile_of_the_other_makes_no_mixture(pair: Pair) -> None:
    profiles: list[Profile] = [plain_profile(each, SHAPE, SETTINGS) for each in pair]
    for g, own, other in ((pair[0], *profiles), (pair[1], *profiles[::-1])):
        assert recall_profile(g, SHAPE, SETTINGS, other).dtype == own.dtype


def test_its_page_is_true(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    found = [block for block in blocks(PAGE) if block.language == "code-cell"]
    assert found
    for block in found:
        exec(compile(block.text, "int8.md", "exec"), {})
    assert max(len(line) for line in PAGE.read_text(encoding="utf-8").splitlines()) <= 120


def test_without_the_instructions_nothing_is_certified(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    for flag in ("_is_vnni_supported", "_is_amx_tile_supported"):
        monkeypatch.setattr(torch.cpu, flag, lambda: False, raising=False)
    for call in (certify, predict):
        with pytest.raises(ValueError, match="expected a CPU with 8-bit integer instructions"):
            call(pair[1], digits().images, n=200)
