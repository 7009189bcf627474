"""A victim answers others' attacks as one function, or says that it cannot."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from rsmooth.attacks.foreign.one_function import LogG, OtherImagesError, searched
from rsmooth.attacks.victim import Victim
from rsmooth.smoothed import SmoothedClassifier
from tests.attacks.toys import base_labels, draw, images, smooth_net

EXACT = {"atol": 1e-12, "rtol": 0}


def setting(*, shared=False):
    g, x = smooth_net(), images(4, low=0.0, high=1.0)
    noise = draw(g, x[:1], 3).expand(4, -1, -1, -1, -1) if shared else draw(g, x, 3)
    log_g = g.log_probs(x[:, None] + noise).exp().mean(dim=1).log().detach()
    return g, x, noise, log_g


def test_any_images_may_be_asked_about_where_they_share_the_noise():
    g, x, noise, log_g = setting(shared=True)
    victim = Victim(g, noise, x)
    assert victim.one_function
    model = LogG(victim, x, "shared")
    assert_close(model(x), log_g, **EXACT)
    order = torch.tensor([3, 0, 3, 1, 2, 2])
    assert_close(model(x[order]), log_g[order], **EXACT)
    assert_close(model(x.float()), log_g.float(), atol=1e-5, rtol=0)
    assert next(model.parameters()).dtype == x.dtype
    assert Victim(g, None, x).one_function
    assert Victim(g, draw(g, x[:1], 3), x[:1]).one_function


def test_images_under_noise_of_their_own_are_the_batch_or_variations_of_one():
    g, x, noise, log_g = setting()
    victim = Victim(g, noise, x)
    assert not victim.one_function
    model = LogG(victim, x, "batch")
    assert_close(model(x), log_g, **EXACT)
    for wrong in (x[:3], x.flip(0), x[:1].repeat(4, 1, 1, 1)):
        with pytest.raises(OtherImagesError):
            model(wrong)
        assert model.mismatched
    by_count = LogG(victim, x, "batch", by_count=True)
    assert by_count(x.flip(0)).shape == log_g.shape
    third = LogG(victim, x, 2)
    assert_close(third(x[2:3].repeat(5, 1, 1, 1)), log_g[2:3].repeat(5, 1), **EXACT)


def test_twins_in_a_batch_are_no_reason_to_go_one_by_one():
    g, x, _, _ = setting()
    x[3] = x[1]
    assert LogG(Victim(g, draw(g, x, 3), x), x, "batch")(x).shape == (4, 5)


@pytest.mark.parametrize("part", [slice(None), slice(0, 2)])
def test_a_search_gets_the_batch_if_it_keeps_it_and_single_images_otherwise(part):
    g, x, noise, log_g = setting()
    sizes = []

    def search(model, x, y):
        sizes.append(len(x))
        answer = model(x[part])
        x.zero_()  # what is handed out is theirs
        return answer[:, :1, None, None].expand(-1, 3, 4, 4)

    found = searched(Victim(g, noise, x), x, base_labels(g, x), search)
    assert_close(found[:, 0, 0, 0], log_g[:, 0], **EXACT)
    assert sizes == ([4] if part == slice(None) else [4, 1, 1, 1, 1])
    assert x.any()


def test_errors_of_a_search_are_no_reason_to_go_one_by_one():
    g, x, noise, _ = setting()

    def search(model, x, y):
        raise KeyError("theirs")

    with pytest.raises(KeyError, match="theirs"):
        searched(Victim(g, noise, x), x, base_labels(g, x), search)


def test_nan_and_gradients_are_seen_whatever_is_asked():
    g, x, noise, _ = setting(shared=True)
    y = base_labels(g, x)
    victim = Victim(g, noise, x, lambda log_probs: torch.zeros(len(y), dtype=torch.bool))
    model = LogG(victim, x, "shared")
    point = x[:2].clone().requires_grad_()
    torch.autograd.grad(model(point).sum(), point)
    assert not victim.without_gradient.any()
    bad = x[:1].clone()
    bad[0, 0] = torch.nan
    model(bad)
    assert not victim.healthy.any(), "nobody knows which image it was"
    one = Victim(g, draw(g, x, 3), x)
    LogG(one, x, 2)(bad)
    assert one.healthy.tolist() == [True, True, False, True]


@pytest.mark.parametrize("m", [None, 1, 2])
@pytest.mark.parametrize("memory", [torch.contiguous_format, torch.channels_last])
def test_images_and_gradients_are_laid_out_as_libraries_expect(m, memory):
    base = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Flatten(), nn.Linear(32, 5))
    g = SmoothedClassifier(base.to(memory_format=memory), 0.2, 5).eval()
    x = images(4).float().contiguous(memory_format=memory)

    def search(model, x, y):
        x.requires_grad_()
        with torch.no_grad():
            model(x)
        (gradient,) = torch.autograd.grad(model(x)[:, 0].sum(), x)
        return x.detach().view(len(x), -1).add(gradient.view(len(x), -1)).view(x.shape)

    noise = None if m is None else draw(g, x, m)
    victim = Victim(g, noise, x)
    point = x.clone().requires_grad_()
    with torch.enable_grad():
        LogG(victim, point, "batch")(point)[:, 0].sum().backward()
    found = searched(victim, x, base_labels(g, x), search)
    assert_close(found, x + point.grad, atol=1e-6, rtol=0)
    assert (found != x).any()
