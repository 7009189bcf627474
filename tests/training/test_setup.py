"""The training loop: equal to a plain one, every option with its effect, no image lost."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch.nn.functional import cross_entropy
from torch.utils.data import TensorDataset

from rsmooth.attacks import PGD, SmoothAdvPGD
from rsmooth.defenses import Trainer
from rsmooth.noise.distributions import Gaussian
from rsmooth.training.draws import Draws
from rsmooth.training.plan import plan_epoch
from rsmooth.training.precision import resolve_precision
from rsmooth.training.sources import as_source
from tests.training.helpers import classifier, images, trained, weights

ATTACK = SmoothAdvPGD(epsilon=0.5, steps=2)


def test_equals_a_plain_loop_written_from_the_published_recipe() -> None:
    """One image order, one noise tensor for attack and loss, m steps a batch, decay on all
    parameters.
    """
    trainer = Trainer(
        attack=ATTACK,
        num_noise=2,
        epochs=3,
        batch_size=10,
        lr=0.05,
        lr_step_epochs=2,
        warmup_epochs=2,
    )
    data, g = images(), classifier()
    base, draws = g.base.train(), Draws(0)
    sgd = torch.optim.SGD(base.parameters(), lr=0.05, momentum=0.9, weight_decay=1e-4)
    for epoch in range(3):
        sgd.param_groups[0]["lr"] = [0.05, 0.05, 0.005][epoch]
        attack = SmoothAdvPGD(epsilon=[0.25, 0.5, 0.5][epoch], steps=2)
        for positions in draws.order(24, epoch).split(10):
            for half in positions.tensor_split(2):
                x, y = data.images[half].float() / 255, data.labels[half]
                noise = draws.noise(data.index[half], epoch, 2, x.shape[1:], Gaussian(0.25))
                x_adv = attack(g, x, y, noise=noise)
                loss = cross_entropy(
                    base((x_adv.unsqueeze(1) + noise).flatten(0, 1)), y.repeat_interleave(2)
                )
                sgd.zero_grad()
                loss.backward()
                sgd.step()
    assert torch.allclose(trained(trainer), weights(g), atol=1e-5)


@pytest.mark.parametrize(
    ("count", "batch_size", "m", "steps"),
    [(24, 8, 1, 3), (24, 8, 2, 6), (10, 4, 3, 8), (5, 4, 4, 5)],
)
def test_m_steps_a_batch_and_no_image_dropped(
    count: int, batch_size: int, m: int, steps: int
) -> None:
    calls: list[tuple[int, int]] = []
    trainer = Trainer(num_noise=m, epochs=2, batch_size=batch_size, lr=0.01)
    history = trainer.fit(
        classifier(), images(count), progress=False, callback=lambda *at: calls.append(at)
    )
    assert calls == [(epoch, step + 1) for epoch in range(2) for step in range(steps)]
    assert [(row["images"], row["steps"]) for row in history] == [(count, steps)] * 2


def test_every_epoch_shows_every_image_once_in_another_order() -> None:
    source = as_source(images(), Draws(0), device=torch.device("cpu"), augment=None, workers=0)
    orders = [
        torch.cat([step.positions for step in plan_epoch([source], epoch, 10, 3)])
        for epoch in (0, 1)
    ]
    for order in orders:
        assert torch.equal(order.sort().values, torch.arange(24))
    assert not torch.equal(*orders)


OPTIONS = {
    "attack": None,
    "num_noise": 1,
    "train_loss": "smoothadv",
    "epochs": 3,
    "batch_size": 8,
    "lr": 0.02,
    "momentum": 0.5,
    "weight_decay": 0.1,
    "schedule": "one-cycle",
    "lr_step_epochs": 2,
    "lr_gamma": 0.5,
    "warmup_epochs": 3,
    "clip_grad_norm": 0.01,
    "augment": True,
    "seed": 1,
    "precision": "bfloat16",
    "budget_seconds": 0.3,
}
BASELINE: dict[str, Any] = {
    "attack": ATTACK,
    "num_noise": 2,
    "epochs": 2,
    "batch_size": 12,
    "lr": 0.05,
    "lr_step_epochs": 1,
    "warmup_epochs": 1,
}


@pytest.mark.parametrize("name", OPTIONS)
def test_every_option_changes_the_result(name: str) -> None:
    assert not torch.allclose(
        trained(Trainer(**{**BASELINE, name: OPTIONS[name]})),
        trained(Trainer(**BASELINE)),
        rtol=1e-6,
        atol=1e-8,
    )


@pytest.mark.parametrize(("name", "value"), [("fold_attack", False), ("channels_last", False)])
def test_faster_ways_to_compute_the_same_give_the_same(name: str, value: bool) -> None:
    fast, plain = trained(Trainer(**BASELINE)), trained(Trainer(**{**BASELINE, name: value}))
    assert torch.allclose(fast, plain, atol=1e-4)


def test_the_attack_meets_a_folded_copy_unless_told_otherwise() -> None:
    class Spy(Trainer):
        def training_points(self, g, x, y, noise, attack):  # type: ignore[no-untyped-def]
            kinds.update(type(layer).__name__ for layer in g.base.modules())
            return super().training_points(g, x, y, noise, attack)

    for fold in (True, False):
        kinds: set[str] = set()
        trained(Spy(**{**BASELINE, "fold_attack": fold}))
        assert ("BatchNorm2d" not in kinds) == fold


def test_compile_sends_the_base_through_torch_compile(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled = []
    monkeypatch.setattr(torch, "compile", lambda module: compiled.append(module) or module)
    g = classifier()
    assert torch.equal(trained(Trainer(**BASELINE, compile=True), g), trained(Trainer(**BASELINE)))
    assert compiled[1:] == [g.base]  # after the trifle that is tried first


@pytest.mark.filterwarnings("default")  # of torch's own compiler and of what it imports
def test_compiled_training_gives_the_same_weights(recwarn: pytest.WarningsRecorder) -> None:
    options: dict[str, Any] = {"attack": ATTACK, "epochs": 3, "batch_size": 24, "lr": 0.05}
    before = torch._dynamo.utils.counters["stats"]["unique_graphs"]
    compiled, plain = (
        trained(Trainer(**options, compile=compile), classifier("mlp")) for compile in (True, False)
    )
    refusal = [str(told.message) for told in recwarn if "compile=True" in str(told.message)]
    if refusal:  # a compiler without Python's headers, say
        pytest.skip(refusal[0])
    assert (
        torch._dynamo.utils.counters["stats"]["unique_graphs"] >= before + 2
    )  # the trifle and the network
    assert torch.allclose(compiled, plain, atol=1e-6)


def test_without_a_compiler_training_goes_on_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: Any) -> Any:
        raise RuntimeError("no working C++ compiler\nsecond line")

    monkeypatch.setattr(torch, "compile", lambda module: broken)
    said = (
        r"compile=True needs a compiler .*none \(RuntimeError: no working C\+\+ compiler\); "
        r"training goes on without"
    )
    with pytest.warns(UserWarning, match=said):
        compiled = trained(Trainer(**BASELINE, compile=True))
    assert torch.equal(compiled, trained(Trainer(**BASELINE)))


def test_data_may_come_as_tensors_or_a_data_set() -> None:
    data = images()
    pair, trainer = (data.images, data.labels), Trainer(epochs=1, batch_size=10, lr=0.05)
    results = []
    for form in (pair, (data.images.float() / 255, data.labels), TensorDataset(*pair)):
        g = classifier()
        trainer.fit(g, form, progress=False)
        results.append(weights(g))
    assert torch.equal(results[0], results[1])
    assert torch.equal(results[0], results[2])


def test_the_callers_random_state_is_left_alone() -> None:
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    trained(Trainer(epochs=1, batch_size=10))
    assert torch.equal(torch.rand(1), expected)


def test_a_time_budget_ends_training_and_stretches_the_schedules_over_it() -> None:
    trainer = Trainer(
        attack=ATTACK,
        budget_seconds=0.4,
        epochs=10,
        warmup_epochs=5,
        batch_size=12,
        lr=0.1,
        schedule="one-cycle",
    )
    history = trainer.fit(classifier(), images(), progress=False)
    assert 0.4 <= history[-1]["seconds"] < 1.4  # one step more than the budget, generously
    assert history[0]["epsilon"] < history[-1]["epsilon"] == 0.5
    assert history[-1]["lr"] < 0.01 < max(row["lr"] for row in history)


@pytest.mark.parametrize("options", [{}, {"budget_seconds": 0.3}])
def test_progress_in_a_file_is_a_line_at_each_end(
    options: dict[str, float], capsys: pytest.CaptureFixture[str]
) -> None:
    Trainer(epochs=30, batch_size=24, **options).fit(classifier("mlp"), images())
    lines = capsys.readouterr().err.splitlines()
    assert [line.split("%")[0].strip() for line in lines] == ["0", "100"]
    assert "accuracy=" in lines[1]


def test_a_wall_clock_budget_counts_waiting_too() -> None:
    import time

    trainer = Trainer(budget_seconds=0.2, budget_clock="wall", batch_size=12)
    history = trainer.fit(
        classifier(), images(), progress=False, callback=lambda *_: time.sleep(0.05)
    )
    assert sum(row["steps"] for row in history) <= 5


def test_validation_is_noisy_accuracy_and_best_is_kept(tmp_path: Any) -> None:
    from rsmooth.smoothed import SmoothedClassifier

    g, data = classifier(), images(30, seed=1)
    history = Trainer(epochs=6, batch_size=12, lr=0.1).fit(
        g, images(), validation=data, run_dir=tmp_path, progress=False
    )
    noise = Draws(0, 2).noise(data.index, 0, 1, data.images.shape[1:], Gaussian(0.25))
    last = SmoothedClassifier.load(tmp_path / "model.pt")
    right = (
        (last.log_probs(data.images.float()[:, None] / 255 + noise).argmax(2)[:, 0] == data.labels)
        .float()
        .mean()
    )
    assert math.isclose(float(right), history[-1]["validation_accuracy"], abs_tol=1e-6)
    best = SmoothedClassifier.load(tmp_path / "best.pt")
    right = (
        (best.log_probs(data.images.float()[:, None] / 255 + noise).argmax(2)[:, 0] == data.labels)
        .float()
        .mean()
    )
    assert math.isclose(
        float(right), max(row["validation_accuracy"] for row in history), abs_tol=1e-6
    )
    assert torch.equal(weights(last), weights(g))


def test_auto_precision_stays_float32_for_small_models_and_times_larger_ones(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import rsmooth.training.precision as precision

    base, x = classifier().base, torch.rand(4, 1, 8, 8)
    before = weights(classifier())
    assert resolve_precision("auto", base, x) == "float32"
    monkeypatch.setattr(precision, "SMALLEST_MODEL", 0)
    seconds = {"float32": 3.0, "bfloat16": 2.0}
    monkeypatch.setattr(precision, "_seconds", lambda model, x, kind: seconds[kind])
    assert resolve_precision("auto", base, x) == "bfloat16"
    seconds["bfloat16"] = 2.9
    assert resolve_precision("auto", base, x) == "float32"
    assert resolve_precision("bfloat16", base, x) == "bfloat16"
    monkeypatch.undo()
    monkeypatch.setattr(precision, "SMALLEST_MODEL", 0)
    assert resolve_precision("auto", base, x) in ("float32", "bfloat16")
    assert weights(classifier()).equal(before)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epochs": 0}, "expected epochs to be an integer >= 1, got 0"),
        ({"lr": -1.0}, "expected lr to be a number > 0"),
        ({"momentum": -0.1}, "expected momentum to be a number >= 0"),
        (
            {"schedule": "linear"},
            "expected schedule to be one of step, milestones, one-cycle, cosine, got 'linear'",
        ),
        ({"schedule": "milestones"}, "expected lr_milestones with schedule='milestones'"),
        ({"lr_milestones": [5]}, "expected lr_milestones with schedule='milestones'"),
        ({"schedule": "milestones", "lr_milestones": [5, 3]}, "growing epochs >= 1"),
        ({"optimizer": "lion"}, "expected optimizer to be one of sgd, adam, adamw, got 'lion'"),
        ({"optimizer": "adam", "nesterov": True}, "expected nesterov with optimizer='sgd'"),
        ({"ema_decay": 1.0}, "expected ema_decay to be within"),
        ({"warmup_per": "batch"}, "expected warmup_per to be one of epoch, step"),
        ({"precision": "half"}, "expected precision to be one of"),
        ({"num_noise": 9, "batch_size": 8}, "expected num_noise <= batch_size"),
        ({"train_loss": "niave"}, "did you mean 'naive'"),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises((ValueError, LookupError), match=message):
        Trainer(**options)


def test_images_of_other_classes_are_refused() -> None:
    data = images()
    five = type(data)(data.images, data.labels, data.index, 5, "x", "train")
    with pytest.raises(ValueError, match="expected images of the classifier's 3 classes"):
        Trainer().fit(classifier(), five)


def test_base_target_training_leaves_no_flag_behind() -> None:
    g = classifier()
    trained(Trainer(attack=PGD(epsilon=0.3, steps=1), epochs=1, batch_size=12), g)
    assert all(
        parameter.requires_grad and parameter.is_contiguous() for parameter in g.parameters()
    )
