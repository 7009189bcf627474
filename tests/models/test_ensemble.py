"""Ensembles: the authors' answers, one model in every respect, and members that are left out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from rsmooth import MODELS, SmoothedClassifier, certify, testing
from rsmooth.bounds import margin_bounds
from rsmooth.models import replace_head
from rsmooth.models.ensemble import Ensemble
from rsmooth.models.nested import build_part
from rsmooth.noise import Uniform
from tests.defenses.published import FOLDER

ORACLE = np.load(FOLDER.parents[1] / "models" / "oracles" / "ensemble.npz")
SPEC: dict[str, Any] = {"name": "small-cnn", "num_classes": 3, "in_channels": 1, "width": 4}


class Recited(nn.Module):
    """Answers with stored logits: the image holds the number of the sample."""

    def __init__(self, logits: Tensor) -> None:
        super().__init__()
        self.logits, self.asked = logits, 0

    def forward(self, x: Tensor) -> Tensor:
        self.asked += len(x)
        return self.logits[x.flatten(1)[:, 0].long()]


def recited() -> list[Recited]:
    return [Recited(logits) for logits in torch.from_numpy(ORACLE["ensemble/logits"])]


SAMPLES = torch.arange(64.0).view(-1, 1, 1, 1)


@pytest.mark.parametrize("count", [1, 2, 3, 4])
@pytest.mark.parametrize("scheme", ["mean-logits", "mean-probabilities"])
def test_prefixes_answer_as_the_authors(count: int, scheme: Any) -> None:
    key = {"mean-logits": "mean_logits_prefix", "mean-probabilities": "mean_probs_prefix"}[scheme]
    found = Ensemble(recited()[:count], scheme)(SAMPLES).argmax(dim=1)
    assert found.tolist() == ORACLE[f"ensemble/{key}"][count - 1].tolist()


@pytest.mark.parametrize("first", [2, 3])
@pytest.mark.parametrize("skip", [True, False])
def test_k_consensus_counts_as_the_authors(
    first: int, skip: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether or not the others are asked where the first agree; image by image."""
    monkeypatch.setattr("rsmooth.models.ensemble.TOGETHER", 1)
    members = recited()
    with torch.no_grad():
        found = Ensemble(members, consensus=first, skip=skip).eval()(SAMPLES).argmax(dim=1)
    counts = torch.bincount(found, minlength=6).tolist()
    assert counts == ORACLE[f"ensemble/consensus{first}_counts"].tolist()
    early = int(ORACLE[f"ensemble/consensus{first}_early"])
    assert 0 < early < 64
    assert members[-1].asked == (64 - early if skip else 64)


def members(count: int = 3) -> list[nn.Module]:
    built = []
    for seed in range(count):
        torch.manual_seed(seed)
        built.append(build_part(SPEC)[0].eval())
    return built


X = torch.rand(200, 1, 8, 8, generator=torch.Generator().manual_seed(5))


def test_an_ensemble_of_one_is_the_member_and_of_all_by_consensus_the_plain_one() -> None:
    one, *_ = own = members()
    with torch.no_grad():
        assert torch.equal(Ensemble([one]).eval()(X), one(X))
        whole, agreed = (Ensemble(own, consensus=k).eval()(X) for k in (None, 3))
        torch.testing.assert_close(agreed, whole)


def test_votes_are_the_same_bits_whether_or_not_members_are_left_out() -> None:
    """Through the certifier itself, in batches that the members do not all see."""
    own, data = members(), torch.randint(0, 256, (6, 1, 8, 8), dtype=torch.uint8)
    found, passes = [], [0, 0]
    for which, skip in enumerate((True, False)):
        base = Ensemble(own, consensus=2, skip=skip).eval()
        base.members[2].register_forward_hook(
            lambda *_, which=which: passes.__setitem__(which, passes[which] + 1)
        )
        g = SmoothedClassifier(base, sigma=0.12, num_classes=3).eval()
        with torch.no_grad():
            found.append((base(X), certify(g, data, n=2000, seed=0).counts))
        base.members[2]._forward_hooks.clear()
    assert torch.equal(found[0][0], found[1][0])
    assert (found[0][1] == found[1][1]).all()
    assert passes[0] <= passes[1]


@pytest.mark.parametrize("first", [2, 3])
def test_one_image_without_consensus_is_enough_to_ask_the_others(first: int) -> None:
    """All images in one batch, of which the first members agree on some and not on others."""
    whole, asked = recited(), recited()
    with torch.no_grad():
        expected = Ensemble(whole, consensus=first, skip=False).eval()(SAMPLES)
        assert torch.equal(Ensemble(asked, consensus=first).eval()(SAMPLES), expected)
    logits = torch.from_numpy(ORACLE["ensemble/logits"])
    early, joint = logits[:first].mean(dim=0), logits.mean(dim=0)
    agree = (logits[:first].argmax(dim=2) == logits[0].argmax(dim=1)).all(dim=0)
    assert 0 < agree.sum() < 64
    torch.testing.assert_close(expected, torch.where(agree[:, None], early, joint))
    assert asked[-1].asked == 64


def test_in_train_mode_all_members_are_asked() -> None:
    """Or the running statistics of some would not move."""
    asked, agreed = recited(), torch.zeros(5, 1, 1, 1)
    with torch.no_grad():
        for own in asked:
            own.logits = recited()[0].logits
        for model, count in ((Ensemble(asked, consensus=2), 5), (Ensemble(asked).eval(), 10)):
            model(agreed)
            assert asked[-1].asked == count
        Ensemble(asked, consensus=2).eval()(agreed)
    assert asked[-1].asked == 10, "and none is asked in vain otherwise"


def test_gradients_reach_all_members() -> None:
    base = Ensemble(members(), consensus=2).eval()
    base(X[:5]).square().sum().backward()
    assert all(own.grad is not None for own in base.parameters())


def test_it_is_saved_and_loaded_and_certified_as_one_model(tmp_path: Path) -> None:
    for seed, own in enumerate(members()):
        (tmp_path / f"seed{seed}").mkdir()
        SmoothedClassifier(own, 0.25, 3).save(tmp_path / f"seed{seed}" / "model.pt")
    names = [str(tmp_path / f"seed{seed}") for seed in range(3)]
    base = MODELS.create("ensemble", members=names, consensus=2).eval()
    g = SmoothedClassifier(base, 0.25, 3).eval()
    g.save(tmp_path / "ensemble.pt")
    for seed in range(3):
        (tmp_path / f"seed{seed}" / "model.pt").unlink()
    loaded = SmoothedClassifier.load(tmp_path / "ensemble.pt")
    with torch.no_grad():
        assert torch.equal(loaded.base(X), base(X))
        assert torch.equal(loaded.base(X), Ensemble(members(), consensus=2).eval()(X))
    assert loaded.base.architecture == base.architecture
    assert "consensus=2" in repr(loaded.base), "which the hash of the model covers"
    testing.check_model(loaded.base, (1, 8, 8))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"members": []}, "expected members of the ensemble, got none"),
        ({"members": [SPEC], "scheme": "vote"}, "expected scheme among mean-logits, mean-prob"),
        ({"members": [SPEC], "consensus": 2}, "expected consensus within 1..1 and the scheme"),
        ({"members": [SPEC], "scheme": "mean-probabilities", "consensus": 1}, "expected consensus"),
        ({"members": [SPEC], "consensus": True}, "expected an integer consensus, got True"),
        ({"members": "runs/seed0"}, "expected members as a list, got 'runs/seed0'"),
        ({"members": None}, "expected members as a list, got None"),
        ({"members": [{"num_classes": 3}]}, "expected the model to have a name, got"),
        ({"members": ["smal-cnn"]}, "expected a registered model, got 'smal-cnn'; did you mean"),
    ],
)
def test_what_is_no_ensemble_is_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises((ValueError, LookupError), match=said):
        MODELS.create("ensemble", **options)


def test_members_that_do_not_fit_together_are_refused(tmp_path: Path) -> None:
    first, second = members(2)
    SmoothedClassifier(first, 0.25, 3).save(tmp_path / "a.pt")
    SmoothedClassifier(second, noise=Uniform(0.5), num_classes=3).save(tmp_path / "b.pt")
    with pytest.raises(ValueError, match="expected members that were trained with the same noise"):
        MODELS.create("ensemble", members=[tmp_path / "a.pt", tmp_path / "b.pt"])
    other = build_part({**SPEC, "num_classes": 4})[0]
    for several, consensus in (([first, other], None), ([first, other], 2), ([first, other], 1)):
        with pytest.raises(ValueError, match="expected members of the same classes, got logits"):
            Ensemble(several, consensus=consensus)(X[:2])
    with pytest.raises(ValueError, match="expected a model with one last layer, got an ensemble"):
        replace_head(Ensemble([first]), 5)


def test_modules_of_ones_own_may_be_members_but_are_not_saved(tmp_path: Path) -> None:
    own = nn.Sequential(nn.Flatten(), nn.Linear(64, 3))
    base = MODELS.create("ensemble", members=[own, own]).eval()
    with torch.no_grad():
        torch.testing.assert_close(base(X), own(X))
    with pytest.raises(ValueError, match=r"expected a base classifier from MODELS\.create"):
        SmoothedClassifier(base, 0.25, 3).save(tmp_path / "model.pt")


@pytest.mark.parametrize("method", ["crown", "crown-ibp", "fast-lin"])
def test_the_mean_has_the_bounds_of_its_members(method: Any) -> None:
    """Of equal members the same, of others at least their mean: they see one and the same box."""
    torch.manual_seed(0)
    members = [build_part(SPEC, num_classes=3)[0].double().eval() for _ in range(3)]
    x, y = torch.rand(4, 1, 8, 8, dtype=torch.float64), torch.tensor([0, 1, 2, 0])
    asked: dict[str, Any] = {"epsilon": 0.01, "method": method}
    own = torch.stack([margin_bounds(member, x, y, **asked) for member in members])
    alike = margin_bounds(Ensemble([members[0]] * 3).eval(), x, y, **asked)
    torch.testing.assert_close(alike, own[0], rtol=0, atol=1e-12)
    joint = Ensemble(members).eval()
    found = margin_bounds(joint, x, y, **asked)
    assert (found >= own.mean(dim=0) - 1e-12).all()
    corners = (x + 0.01 * torch.randn(200, *x.shape).sign()).clamp(0, 1).flatten(0, 1)
    logits = joint(corners).view(200, 4, 3)
    margins = logits.gather(2, y.expand(200, 4).unsqueeze(2)) - logits
    assert (found <= margins.amin(dim=0) + 1e-12).all()


@pytest.mark.parametrize("options", [{"scheme": "mean-probabilities"}, {"consensus": 2}])
def test_other_schemes_have_no_bounds(options: dict[str, Any]) -> None:
    net = Ensemble([build_part(SPEC, num_classes=3)[0] for _ in range(3)], **options).eval()
    x, y = torch.rand(1, 1, 8, 8), torch.tensor([0])
    with pytest.raises(ValueError, match="mean of logits"):
        margin_bounds(net, x, y, epsilon=0.01)
