"""An attack leaves the model as it was: modes, flags, gradients, statistics, also on errors."""

import threading
import warnings

import pytest
import torch
from torch import nn

from rsmooth.attacks import DDN, NaivePGD, SmoothAdvPGD
from rsmooth.attacks.base import frozen
from rsmooth.smoothed import SmoothedClassifier
from tests.attacks.toys import images, smooth_net


def batch_norm_net():
    base = nn.Sequential(
        nn.Conv2d(3, 4, 3),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Flatten(),
        nn.Linear(16, 5),
    )
    g = SmoothedClassifier(base.double(), 0.2, 5).train()
    base[1].eval()  # mixed modes, and one parameter that is frozen already
    base[0].bias.requires_grad_(False)
    return g


def state_of(g):
    return (
        [m.training for m in g.modules()],
        [p.requires_grad for p in g.parameters()],
        [p.grad for p in g.parameters()],
        {key: value.clone() for key, value in g.state_dict().items()},
    )


@pytest.mark.parametrize(
    "attack",
    [SmoothAdvPGD(epsilon=0.3, steps=2), NaivePGD(epsilon=0.3, steps=2), DDN(epsilon=0.3, steps=2)],
)
@pytest.mark.parametrize("failing", [False, True])
def test_modes_flags_gradients_and_statistics_are_left_as_they_were(attack, failing):
    g, x = batch_norm_net(), images(3)
    before = state_of(g)
    seen = []

    def hook(module, arguments):
        seen.append(
            (any(m.training for m in g.modules()), any(p.requires_grad for p in g.parameters()))
        )
        if failing:
            raise RuntimeError("stop")

    handle = g.base[0].register_forward_pre_hook(hook)
    if failing:
        with pytest.raises(RuntimeError, match="stop"):
            attack(g, x, torch.zeros(3, dtype=torch.int64))
    else:
        attack(g, x, torch.zeros(3, dtype=torch.int64))
    handle.remove()
    assert set(seen) == {(False, False)}
    after = state_of(g)
    assert after[:3] == before[:3]
    assert all(torch.equal(after[3][key], before[3][key]) for key in before[3])


def test_frozen_restores_a_module_shared_by_parents_in_other_modes():
    shared = nn.Dropout(0.5)
    module = nn.Sequential(nn.Sequential(shared), nn.Sequential(shared))
    module[0].eval()
    assert (module[0].training, shared.training, module[1].training) == (False, False, True)
    with frozen(module):
        assert not module[1].training
    assert (module[0].training, shared.training, module[1].training) == (False, False, True)


def test_frozen_restores_after_a_model_that_refuses_eval_mode():
    class Stubborn(nn.Linear):
        def train(self, mode=True):
            if not mode:
                raise RuntimeError("no eval")
            return super().train(mode)

    module = nn.Sequential(nn.Dropout(0.5), Stubborn(2, 2))
    with pytest.raises(RuntimeError, match="no eval"), frozen(module):
        pass
    assert [m.training for m in module.modules()] == [True, True, True]
    assert all(p.requires_grad for p in module.parameters())


def test_threads_that_attack_one_model_find_what_one_alone_finds():
    g, x = batch_norm_net(), images(3)
    before, y = state_of(g), torch.zeros(3, dtype=torch.int64)

    def attacked(steps):
        generator = torch.Generator().manual_seed(0)
        return SmoothAdvPGD(epsilon=0.3, steps=steps)(
            g, x, y, noise=noise, bounds=None, generator=generator
        )

    noise = g.sample_noise(x, 2, torch.Generator().manual_seed(1))
    alone = {steps: attacked(steps) for steps in (1, 3, 6)}
    found = []

    def work():
        found.extend((steps, attacked(steps)) for _ in range(5) for steps in alone)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 45
    assert all(torch.equal(x_adv, alone[steps]) for steps, x_adv in found)
    after = state_of(g)
    assert after[:3] == before[:3]
    assert all(torch.equal(after[3][key], before[3][key]) for key in before[3])


@pytest.mark.parametrize("made_inside", [False, True])
def test_attacks_work_in_inference_mode_and_leave_the_flags(made_inside):
    with torch.inference_mode(made_inside):
        g = batch_norm_net()
    flags = [p.requires_grad for p in g.parameters()]
    x, y = images(3), torch.zeros(3, dtype=torch.int64)

    def attacked():
        generator = torch.Generator().manual_seed(0)
        return SmoothAdvPGD(epsilon=0.3, steps=2)(g, x, y, generator=generator)

    expected = attacked()
    with torch.inference_mode():
        assert torch.equal(attacked(), expected)
    with torch.no_grad():
        assert torch.equal(attacked(), expected)
    assert (expected - x).abs().max() > 0
    assert [p.requires_grad for p in g.parameters()] == flags


def test_a_traced_base_is_attacked_as_the_module_itself():
    g, x, y = smooth_net(), images(3), torch.zeros(3, dtype=torch.int64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's own, on tracing
        traced = g.around(torch.jit.trace(g.base, x))
    attack = SmoothAdvPGD(epsilon=0.3, steps=3)
    noise = g.sample_noise(x, 2)
    torch.testing.assert_close(
        attack(traced, x, y, noise=noise), attack(g, x, y, noise=noise), rtol=0, atol=1e-12
    )


@pytest.mark.parametrize("generator", [0, "seed"])
def test_a_generator_that_is_none_is_refused(generator):
    g, x, y = smooth_net(), images(3), torch.zeros(3, dtype=torch.int64)
    with pytest.raises(TypeError, match=r"expected the generator as a torch\.Generator"):
        SmoothAdvPGD(epsilon=0.3, steps=1)(g, x, y, generator=generator)
    with pytest.raises(TypeError, match=r"expected the generator as a torch\.Generator"):
        g.sample_noise(x, 2, generator)
