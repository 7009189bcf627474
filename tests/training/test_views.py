"""The two views of a classifier in training."""

from __future__ import annotations

import pytest
import torch

from rsmooth.training.views import Views, same_memory
from tests.training.helpers import classifier


def views(fold: bool, precision: str = "float32") -> tuple[Views, torch.nn.Module]:
    g = classifier()
    return Views(g, g.base, g.base, precision, fold=fold), g.base  # type: ignore[arg-type]


@pytest.mark.parametrize("fold", [True, False])
def test_the_attacked_view_is_the_classifier_in_eval_mode(fold: bool) -> None:
    pair, base = views(fold)
    points = torch.rand(3, 2, 1, 8, 8)
    for _ in range(2):
        found = pair.attacked().log_probs(points)
        expected = base.eval()(points.flatten(0, 1)).log_softmax(1).view_as(found)
        assert torch.allclose(found, expected, atol=1e-5)
        base.train()
        pair.log_probs(points)  # moves the statistics, of which the next round must know
        with torch.no_grad():
            base[1][0].weight.mul_(1.5)  # type: ignore[index, union-attr]
        pair.weights_moved()


def test_only_the_folded_view_is_copied_and_only_when_it_is_old(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls: list[int] = []
    monkeypatch.setattr("rsmooth.training.views.refold", lambda *_: calls.append(1))
    pair, _ = views(fold=True)
    pair.attacked()
    pair.attacked()
    assert len(calls) == 1
    pair.touched()
    pair.attacked()
    assert len(calls) == 2
    plain, _ = views(fold=False)
    plain.attacked()
    assert len(calls) == 2


@pytest.mark.filterwarnings("ignore:.*torch.jit.*deprecated")
def test_a_traced_base_is_seen_as_it_is_now() -> None:
    """No copy of it shares its memory."""
    g, points = classifier(), torch.rand(3, 2, 1, 8, 8)
    traced = g.around(torch.jit.trace(g.base.eval(), points[:, 0]))
    pair = Views(traced, traced.base, traced.base, "float32", fold=False)
    with torch.no_grad():
        for own in traced.base.parameters():
            own.mul_(1.5)
    pair.weights_moved()
    found = pair.attacked().log_probs(points)
    torch.testing.assert_close(found, traced.eval().log_probs(points))
    assert not any(own.requires_grad for own in pair.attacked().parameters())


def test_passes_run_in_the_precision_and_answer_in_float32() -> None:
    points = torch.rand(3, 2, 1, 8, 8)
    exact, rounded = (views(True, kind)[0].log_probs(points) for kind in ("float32", "bfloat16"))
    assert exact.dtype == rounded.dtype == torch.float32
    assert not torch.equal(exact, rounded)
    assert torch.allclose(exact, rounded, atol=0.05)


def test_same_memory_is_another_tree_around_the_same_tensors() -> None:
    base = classifier().base
    other = same_memory(base)
    assert other is not base
    mine, theirs = base.state_dict(keep_vars=True), other.state_dict(keep_vars=True)
    assert all(mine[name] is theirs[name] for name in mine)
