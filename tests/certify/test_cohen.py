"""CERTIFY and PREDICT against exact answers, and with every kind of bad vote and input."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from rsmooth.certify import ABSTAIN
from rsmooth.certify.cohen import certify, predict, prediction
from rsmooth.certify.proof.bounds import radius_from_counts
from rsmooth.certify.votes.requests import VoteRequest
from rsmooth.data import as_image_data
from rsmooth.smoothed import SmoothedClassifier
from tests.certify.nets import HalfSpace, Scripted, half_space, images, small_net


def test_radius_is_the_bound_on_the_votes_rounded_down() -> None:
    g, x = half_space(), images(20)
    result = certify(g, x, n=500)
    for row in range(20):
        chosen = int(result.selection[row].argmax())
        hits = int(result.counts[row, chosen])
        assert result.radius[row] <= max(
            0.0, g.sigma * stats.norm.ppf(stats.beta.ppf(1e-3, hits, 501 - hits))
        )
        total_variation = result.provenance["noise"]["total_variation"]
        assert result.radius[row] == radius_from_counts(
            hits, 500, g.sigma, 1e-3, total_variation=total_variation
        )
        assert result.label[row] == (chosen if result.radius[row] > 0 else ABSTAIN)
    assert (result.counts.sum(1) == 500).all()
    assert (result.selection.sum(1) == 100).all()
    assert (result.samples == 500).all()
    assert (result.label >= 0).any()


def test_certified_radii_stay_below_the_true_distance_of_a_half_space() -> None:
    g, x = half_space(), images(300, seed=5)
    net = g.base
    assert isinstance(net, HalfSpace)
    side = ((x.double() / 255) * net.w).flatten(1).sum(1) - net.b
    # Grid noise makes a half-space of the exact classifier; its distance differs by rounding to the
    # grid, below 4/255.
    failures = 0
    for seed in range(4):
        result = certify(g, x, n=200, alpha=0.05, seed=seed)
        assert (
            result.label[result.radius > 0] == (side > 0).long()[result.radius > 0]
        ).float().mean() > 0.9
        failures += int((result.radius > side.abs() + 1e-3).sum())
        certified = result.radius > 0
        assert (result.radius[certified] > 0.4 * side.abs()[certified]).float().mean() > 0.5, (
            "not needlessly small"
        )
    # At most 1200 * 0.05 = 60 failures are expected; more than 90 has probability 1e-4 at that
    # rate.
    assert failures <= 90


def test_label_target_certifies_the_given_class_without_selection() -> None:
    g, x = half_space(), images(12)
    predicted = certify(g, x, n=300)
    other = certify(g, x, n=300, labels=1 - predicted.label.clamp(min=0))
    same = certify(g, x, n=300, labels=predicted.label.clamp(min=0))
    assert other.selection is None
    sure = predicted.label >= 0
    assert (other.label[sure] == ABSTAIN).all()
    assert torch.equal(same.radius[sure], predicted.radius[sure])
    assert torch.equal(same.counts, predicted.counts)


def test_half_of_the_votes_abstains() -> None:
    x = torch.full((3, 1, 4, 4), 128, dtype=torch.uint8)
    g = SmoothedClassifier(Scripted("coin"), 0.25, 3)
    result = certify(g, x, n=400, index=torch.arange(3))
    assert result.label.tolist() == [ABSTAIN] * 3
    assert result.radius.tolist() == [0.0] * 3
    assert predict(g, x, n=400, index=torch.arange(3)).label.tolist() == [ABSTAIN] * 3


@pytest.mark.parametrize("kind", ["nan", "infinite"])
def test_a_network_without_a_finite_logit_is_an_error(kind: str) -> None:
    g, x = SmoothedClassifier(Scripted(kind), 0.25, 3), images(2)
    for call in (
        lambda: certify(g, x, n=100),
        lambda: predict(g, x, n=100),
        lambda: certify(g, x, n=100, labels=torch.tensor([1, 1])),
    ):
        with pytest.raises(ValueError, match=r"largest finite logit .* every one of 100 noisy"):
            call()


def test_invalid_votes_count_against_the_class() -> None:
    dark = torch.zeros((1, 1, 4, 4), dtype=torch.uint8)
    result = certify(SmoothedClassifier(Scripted("half nan"), 0.25, 3), dark, n=1000)
    hits, invalid = int(result.counts[0, 1]), int(result.invalid[0])
    assert invalid > 0
    assert hits + invalid == 1000
    assert result.radius[0] == pytest.approx(radius_from_counts(hits, 1000, 0.25, 1e-3), abs=1e-9)


def test_equal_logits_vote_for_the_lowest_class() -> None:
    result = certify(SmoothedClassifier(Scripted("all equal"), 0.25, 3), images(2), n=50)
    assert result.counts[:, 0].tolist() == [50, 50]


def test_predict_names_the_class_and_its_p_value() -> None:
    g = SmoothedClassifier(Scripted("half nan"), 0.25, 3)
    dark = torch.zeros((1, 1, 4, 4), dtype=torch.uint8)
    result = predict(g, dark, n=50)
    top, invalid = int(result.counts[0, 1]), int(result.invalid[0])
    assert result.label.tolist() == [1]
    assert result.p_value[0] == pytest.approx(stats.binomtest(top, top + invalid).pvalue, rel=1e-9)


@pytest.mark.parametrize(
    ("votes", "label", "p_value"),
    [
        ([81, 19, 0], 0, stats.binomtest(81, 100).pvalue),
        ([64, 36, 0], ABSTAIN, stats.binomtest(64, 100).pvalue),
        ([50, 50, 0], ABSTAIN, 1.0),
        ([10, 0, 90], ABSTAIN, 1.0),  # the last ones are without finite logits
    ],
)
def test_predict_abstains_unless_one_class_leads(
    votes: list[int], label: int, p_value: float
) -> None:
    procedure = prediction(100, alpha=1e-3)
    assert next(procedure) == VoteRequest("predict", 100)
    with pytest.raises(StopIteration) as end:
        procedure.send(np.array(votes))
    assert (end.value.value.label, end.value.value.p_value) == (label, pytest.approx(p_value))


def test_result_of_an_image_depends_on_nothing_else() -> None:
    g, x = small_net(), images(9)
    whole = certify(g, x, n=150, batch_size=32)
    assert len({int(row.argmax()) for row in whole.counts}) > 1
    assert (whole.counts.max(1).values < 150).any(), (
        "votes must be split for this test to mean anything"
    )
    order = torch.randperm(9, generator=torch.Generator().manual_seed(0))
    shuffled = certify(g, x[order], n=150, batch_size=32)
    alone = certify(g, x[4:5], n=150, batch_size=32)
    for name in ("label", "radius", "counts", "selection"):
        assert torch.equal(getattr(shuffled, name), getattr(whole, name)[order])
        assert torch.equal(getattr(alone, name), getattr(whole, name)[4:5])
    other_batch = certify(g, x, n=150, batch_size=100)
    assert torch.equal(other_batch.counts, whole.counts)


def test_seed_and_index_choose_the_noise() -> None:
    g, x = small_net(), images(3)
    first = certify(g, x, n=100)
    assert torch.equal(certify(g, x, n=100).counts, first.counts)
    assert torch.equal(certify(g, x.float() / 255, n=100).counts, first.counts)
    assert not torch.equal(certify(g, x, n=100, seed=1).counts, first.counts)
    by_index = certify(g, x, n=100, index=torch.tensor([5, 6, 7]))
    assert not torch.equal(by_index.counts, first.counts)
    assert torch.equal(
        certify(g, x[1:], n=100, index=torch.tensor([6, 7])).counts, by_index.counts[1:]
    )


def test_selection_and_estimation_use_different_noise() -> None:
    result = certify(small_net(), images(6), n0=200, n=200)
    assert not torch.equal(result.selection, result.counts)


def test_more_samples_keep_the_first_votes() -> None:
    g, x = small_net(), images(4)
    short, long_ = certify(g, x, n=100), certify(g, x, n=200)
    more = long_.counts - short.counts
    assert (more >= 0).all()
    assert (more.sum(1) == 100).all()
    assert (more != short.counts).any()


def test_float_noise_is_another_stream_and_says_so() -> None:
    g, x = small_net(), images(3)
    result = certify(g, x, n=200, arithmetic="float")
    assert not torch.equal(result.counts, certify(g, x, n=200).counts)
    assert result.provenance["noise"] == {
        "distribution": {"name": "gaussian", "sigma": 0.25},
        "arithmetic": "float",
    }
    off_grid = torch.rand(2, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    assert certify(g, off_grid, n=50, arithmetic="float").label.shape == (2,)
    with pytest.raises(ValueError, match="arithmetic='float'"):
        certify(g, off_grid, n=50)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n": 5}, "n >= 11"),
        ({"n0": 0}, "n0 >= 1"),
        ({"alpha": 0.0}, "alpha in"),
        ({"mode": "radius"}, "expected radius for mode"),
        ({"radius": 0.5}, "got radius"),
        ({"mode": "fast"}, "mode to be one of"),
        ({"arithmetic": "fine"}, "arithmetic to be"),
        ({"batch_size": 0}, "batch_size >= 1"),
        ({"precision": "int4"}, "precision to be"),
        ({"labels": torch.tensor([7])}, "labels within"),
        ({"index": torch.tensor([-1])}, "integers >= 0"),
    ],
)
def test_bad_options_are_refused_before_any_vote(options: dict[str, object], message: str) -> None:
    class Untouchable(nn.Module):
        def forward(self, z: Tensor) -> Tensor:
            raise AssertionError("the base classifier was asked")

    given: Any = {"n": 100, **options}
    with pytest.raises(ValueError, match=message):
        certify(SmoothedClassifier(Untouchable(), 0.25, 2), images(1), **given)


def test_bad_images_and_models_are_refused() -> None:
    g = half_space()
    with pytest.raises(ValueError, match=r"in \[0, 1\]"):
        certify(g, torch.full((1, 1, 4, 4), 2.0), n=100)
    with pytest.raises(ValueError, match="batch dimension"):
        certify(g, images(1)[0], n=100)
    with pytest.raises(ValueError, match="check num_classes"):
        certify(SmoothedClassifier(g.base, 0.25, 5), images(1), n=100)
    with pytest.raises(ValueError, match="noise to draw votes under, got gaussian sigma=0"):
        certify(SmoothedClassifier(g.base, 0.0, 2), images(1), n=100)


@pytest.mark.parametrize("call", [certify, predict])
def test_lists_and_tensors_with_channels_last_are_refused(call: Any) -> None:
    """Neither an AttributeError from inside, nor a certificate of other images."""
    g, x = half_space(shape=(3, 8, 8)), images(2, (3, 8, 8))
    for given in (x.tolist(), 7):
        with pytest.raises(
            TypeError,
            match=r"expected images \(B, C, H, W\) as a torch.Tensor, got .*torch.as_tensor",
        ):
            call(g, given, n=100)
    for given in (x.permute(0, 2, 3, 1), x.permute(0, 2, 3, 1) / 255):
        with pytest.raises(
            ValueError, match=r"got \(2, 8, 8, 3\), which look like \(B, H, W, C\); use x.permute"
        ):
            call(g, given, n=100)


@pytest.mark.parametrize("call", [certify, predict])
def test_arrays_are_their_tensors(call: Any) -> None:
    g, x = half_space(shape=(3, 8, 8)), images(2, (3, 8, 8))
    index = torch.tensor([4, 2])
    wanted = call(g, x, n=100, index=index).counts
    last = x.permute(0, 2, 3, 1)
    for given in (x.numpy(), last.numpy(), (x / 255).numpy(), (last / 255).double().numpy()):
        assert torch.equal(call(g, given, n=100, index=index.numpy()).counts, wanted)


def test_a_data_set_has_an_index_of_its_own() -> None:
    """So that one call and a recorded run make the same certificates."""
    g, x, y = half_space(shape=(3, 8, 8)), images(3, (3, 8, 8)), torch.tensor([0, 1, 0])
    wanted = certify(g, x, n=100, index=torch.arange(3)).counts
    data = as_image_data((x, y), num_classes=2)
    for given in (data, TensorDataset(x, y), DataLoader(TensorDataset(x, y)), (x.numpy(), y)):
        assert torch.equal(certify(g, given, n=100).counts, wanted)
        assert torch.equal(predict(g, given, n=100).label, predict(g, data, n=100).label)
    swapped = certify(g, data.subset([2, 0]), n=100).counts
    assert torch.equal(swapped, wanted[[2, 0]])


@pytest.mark.parametrize("kind", [list, tuple, np.array, torch.tensor])
def test_labels_and_index_may_be_of_every_kind(kind: Any) -> None:
    g, x = half_space(), images(2)
    index = torch.tensor([7, 3])
    wanted = certify(g, x, n=100, labels=torch.tensor([0, 1]), index=index)
    found = certify(g, x, n=100, labels=kind([0, 1]), index=kind([7, 3]))
    assert torch.equal(found.counts, wanted.counts)
    assert found.selection is None
    assert found.to_log([0, 1]).provenance == wanted.to_log([0, 1]).provenance
    answers = predict(g, x, n=100, index=kind([7, 3]))
    assert torch.equal(answers.counts, predict(g, x, n=100, index=index).counts)


@pytest.mark.parametrize("option", ["labels", "index"])
@pytest.mark.parametrize("given", [[0.0, 1.0], [True, False], ["a", "b"]])
def test_other_labels_and_indices_are_refused(option: str, given: Any) -> None:
    with pytest.raises(ValueError, match=f"expected integer {option}, got "):
        certify(half_space(), images(2), n=100, **{option: given})


def test_two_dimensional_points_are_images_too() -> None:
    g = half_space(shape=(2, 1, 1))
    assert certify(g, images(3, (2, 1, 1)), n=100).label.shape == (3,)


def test_model_is_left_as_it_was() -> None:
    g = small_net().train()
    before = {name: value.clone() for name, value in g.state_dict().items()}
    certify(g, images(2), n=50)
    assert g.training
    assert all(torch.equal(before[name], value) for name, value in g.state_dict().items())
    assert all(parameter.requires_grad for parameter in g.parameters())


def test_no_images_give_no_certificates() -> None:
    result = certify(half_space(), images(0), n=100)
    assert result.label.shape == (0,)
    assert result.counts.shape == (0, 2)
    assert np.isfinite(result.radius.numpy()).all()


def test_progress_bar_counts_images(capsys: pytest.CaptureFixture[str]) -> None:
    certify(half_space(), images(3), n=50, progress=True)
    shown = capsys.readouterr().err
    assert "3.0/3 images" in shown
    assert "samples/s" in shown
