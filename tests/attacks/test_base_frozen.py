"""An attack leaves the model as it was: modes, flags, gradients, statistics, also on errors."""

import pytest
import torch
from torch import nn

from rsmooth.attacks import DDN, NaivePGD, SmoothAdvPGD
from rsmooth.attacks.base import frozen
from rsmooth.smoothed import SmoothedClassifier
from tests.attacks.toys import images


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
