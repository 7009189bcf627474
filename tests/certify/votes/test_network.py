"""The base classifier as it is executed: votes, the record of its precision, images apart."""

from __future__ import annotations

import random
import threading
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from rsmooth.attacks import SmoothAdvPGD
from rsmooth.certify import CertifySettings, certify, certify_dataset, predict
from rsmooth.certify.votes.choice import choose_network
from rsmooth.certify.votes.network import check_images_apart
from rsmooth.data import ImageData
from rsmooth.smoothed import SmoothedClassifier
from tests.certify.nets import images, small_net
from tests.certify.votes.pools import SHAPE, make_pool

ORIGINAL_CALL = nn.Module.__call__


def test_votes_are_the_argmax_of_the_base_classifier() -> None:
    g = small_net()
    points = torch.rand(16, *SHAPE, generator=torch.Generator().manual_seed(0))
    network = choose_network(g, SHAPE, CertifySettings(n=100, batch_size=16), 0)
    assert torch.equal(network(points), g.base(points).argmax(1))
    assert network.profile.dtype == "float32"
    assert network.profile.compiled == "no"


def test_precision_changes_the_function_and_the_record() -> None:
    g = small_net()
    points = torch.rand(256, *SHAPE, generator=torch.Generator().manual_seed(0))
    logits = {}
    for precision in ("float32", "bfloat16"):
        options: Any = {"precision": precision, "batch_size": 256, "compile": "never"}
        settings = CertifySettings(n=100, **options)
        network = choose_network(g, SHAPE, settings, 0)
        assert network.profile.record()["dtype"] == precision
        with torch.no_grad():
            logits[precision] = network._net(points.to(getattr(torch, precision))).float()
    assert not torch.equal(logits["float32"], logits["bfloat16"])
    assert torch.allclose(logits["float32"], logits["bfloat16"], atol=0.2)


def test_callers_switches_do_not_change_what_is_executed(monkeypatch: pytest.MonkeyPatch) -> None:
    g = small_net()
    points = torch.rand(64, *SHAPE, generator=torch.Generator().manual_seed(0))
    network, seen = choose_network(g, SHAPE, CertifySettings(n=100, batch_size=64), 0), []
    watch = nn.modules.module.register_module_forward_hook(
        lambda module, given, out: seen.append((out.dtype, torch.backends.cudnn.benchmark))
    )
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", True)
    with watch, torch.autocast("cpu", dtype=torch.bfloat16):
        network(points)
    assert set(seen) == {(torch.float32, False)}
    assert torch.backends.cudnn.benchmark


@pytest.mark.parametrize(
    "layer", [nn.BatchNorm2d(6, track_running_stats=False), nn.GroupNorm(2, 6), nn.Dropout(0.5)]
)
def test_a_network_that_mixes_the_images_of_a_batch_is_refused(layer: nn.Module) -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(1, 6, 3), layer, nn.ReLU(), nn.Flatten(), nn.Linear(24, 4))
    g, x = SmoothedClassifier(net.train(), 0.25, 4), images(2)
    if isinstance(layer, nn.BatchNorm2d):
        with pytest.raises(ValueError, match="answers each image on its own"):
            certify(g, x, n=20)
    else:
        assert int(certify(g, x, n=20).counts.sum()) == 40
        assert net.training, "expected the caller's model as it was"


def test_randomness_in_a_network_passes() -> None:
    class Random(nn.Module):
        def forward(self, z: Tensor) -> Tensor:
            return torch.randn(len(z), 4)

    with pytest.warns(UserWarning, match="got one that draws at random"):
        found = certify(SmoothedClassifier(Random(), 0.25, 4), images(2), n=20)
    assert int(found.counts.sum()) == 40


@pytest.mark.parametrize("call", [certify, predict])
def test_a_dropout_that_stays_on_is_warned_of_once(call: Any, tmp_path: Path) -> None:
    def net(on: bool) -> SmoothedClassifier:
        layer = Always() if on else nn.Dropout(0.5)
        return SmoothedClassifier(nn.Sequential(nn.Flatten(), layer, nn.Linear(16, 4)), 0.25, 4)

    def journal() -> Any:
        data = images(2), torch.zeros(2, dtype=torch.int64)
        settings = CertifySettings(n=20)
        return certify_dataset(net(True), data, tmp_path / "log.jsonl", settings, progress=False)

    for run in (lambda: call(net(True), images(2), n=20), journal):
        with pytest.warns(UserWarning, match=r"look for a dropout that eval\(\)") as warned:
            run()
        assert len(warned) == 1
    call(net(False), images(2), n=20)  # warnings are errors


def test_sums_in_another_order_are_no_randomness() -> None:
    """As kernels that add atomically leave them: another rounding at every call."""

    class Rounded(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(16, 4)

        def forward(self, z: Tensor) -> Tensor:
            logits: Tensor = self.fc(z.flatten(1))
            return logits * (1 + 1e-5 * torch.randn_like(logits))

    assert certify(SmoothedClassifier(Rounded(), 0.25, 4), images(2), n=20).counts.sum() == 40


class Tapped(nn.Module):
    """Reads a convolution before its batch norm, behind a branch that torch.fx cannot follow."""

    def __init__(self, tap: bool) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(1, 6, 3), nn.BatchNorm2d(6), nn.ReLU())
        self.fc, self.tap = nn.Linear(24, 4), tap
        nn.init.constant_(self.body[1].weight, 2.0)  # type: ignore[arg-type]

    def forward(self, z: Tensor) -> Tensor:
        if z.sum() < -1e9:
            return self.fc(z)  # type: ignore[no-any-return]
        seen = self.body(z)
        if self.tap:
            seen = self.body[1:](self.body[0](z)) + self.body[0](z)
        logits: Tensor = self.fc(seen.flatten(1))
        return logits


def test_a_forward_that_folding_would_change_is_refused() -> None:
    torch.manual_seed(0)
    assert int(certify(SmoothedClassifier(Tapped(False), 0.25, 4), images(1), n=20).counts.sum())
    with pytest.raises(ValueError, match="folded batch norms leave as it is"):
        certify(SmoothedClassifier(Tapped(True), 0.25, 4), images(1), n=20)


class Jittered(nn.Module):
    """Random logits, of draws for each image or of one for all images of a pass."""

    def __init__(self, draw: Any) -> None:
        super().__init__()
        self.net, self.draw = small_net().base, draw

    def forward(self, z: Tensor) -> Tensor:
        logits: Tensor = self.net(z)
        changed: Tensor = logits + self.draw(logits)
        return changed


ONE_DRAW = {
    "torch": lambda logits: torch.randn(4),
    "numpy": lambda logits: torch.from_numpy(np.random.randn(4)).float(),  # noqa: NPY002
    "seldom": lambda logits: torch.randn(4) * (torch.rand(()) < 0.9),
}


@pytest.mark.parametrize("name", ONE_DRAW)
def test_one_draw_for_all_images_of_a_pass_is_refused(name: str) -> None:
    """All votes of a pass may be wrong together, where the bound takes them as independent."""
    g = SmoothedClassifier(Jittered(ONE_DRAW[name]), 0.25, 4)
    with pytest.raises(ValueError, match="draws its randomness for each image"):
        certify(g, images(2), n=20)
    with pytest.warns(UserWarning, match="draws at random"):
        found = certify(g, images(1), n=20, batch_size=1)
    assert int(found.counts.sum()) == 20


@pytest.mark.parametrize(
    "draw",
    [
        lambda logits: 2.0 * (torch.rand(()) < 0.5) + 0.1 * torch.randn_like(logits),
        lambda logits: (
            torch.randn(4) * 0.3 + torch.randn_like(logits) * (torch.rand(len(logits), 1) < 0.1)
        ),
    ],
)
def test_one_draw_for_all_images_is_noticed_beside_draws_for_each(draw: Any) -> None:
    """False alarms: F(31, 480) is above 6 in one pass of 10^15."""
    with pytest.raises(ValueError, match="draws its randomness for each image"):
        certify(SmoothedClassifier(Jittered(draw), 0.25, 4), images(2), n=20)


def test_dropout_passes_whatever_it_draws() -> None:
    for seed in range(30):
        torch.manual_seed(seed)
        net = nn.Sequential(nn.Flatten(), Always(), nn.Linear(16, 4))
        assert check_images_apart(SmoothedClassifier(net, 0.25, 4), SHAPE, 20) > 0


class Always(nn.Module):
    def forward(self, z: Tensor) -> Tensor:
        return nn.functional.dropout(z, 0.05, training=True)


class Sequence(nn.Module):
    """The batch as one sequence: an image changes the answers to those behind it."""

    def __init__(self) -> None:
        super().__init__()
        self.rnn, self.fc = nn.GRU(16, 8), nn.Linear(8, 4)

    def forward(self, z: Tensor) -> Tensor:
        logits: Tensor = self.fc(self.rnn(z.flatten(1))[0])
        return logits


class Placed(nn.Module):
    """The answer depends on the place in the batch, and on no other image."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(16, 4)

    def forward(self, z: Tensor) -> Tensor:
        logits: Tensor = self.fc(z.flatten(1)) + torch.arange(len(z)).unsqueeze(1)
        return logits


@pytest.mark.parametrize("make", [Sequence, Placed])
def test_what_depends_on_the_images_before_or_on_the_place_is_refused(make: Any) -> None:
    with pytest.raises(ValueError, match="the batch for a sequence"):
        certify(SmoothedClassifier(make(), 0.25, 4), images(2), n=20)


def test_images_that_are_mixed_at_random_are_refused() -> None:
    """The draws hide that the mean of the batch is in the answer."""
    mixed = Jittered(lambda logits: torch.randn_like(logits) + logits.mean(dim=0))
    with pytest.raises(ValueError, match="answers each image on its own"):
        certify(SmoothedClassifier(mixed, 0.25, 4), images(2), n=20)


def test_draws_for_each_image_pass_however_seldom_they_are() -> None:
    for share in (0.01, 0.5, 1.0):
        net = Jittered(
            lambda logits, p=share: torch.randn_like(logits) * (torch.rand(len(logits), 1) < p)
        )
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "expected a base classifier that answers an image al")
            found = certify(SmoothedClassifier(net, 0.25, 4), images(1), n=20)
        assert int(found.counts.sum()) == 20


def test_logits_do_not_depend_on_the_place_in_the_batch_or_on_the_padding() -> None:
    pool = make_pool()
    points = torch.rand(32, *SHAPE, generator=torch.Generator().manual_seed(0))
    net = pool.network._net
    order = torch.randperm(32, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        assert torch.equal(net(points)[order], net(points[order]))
        padded = torch.cat([points[:5], torch.rand(27, *SHAPE)])
        assert torch.equal(net(padded)[:5], net(points)[:5])


class Wrapped(nn.Module):
    """A network around the small one whose answer is another kind of thing."""

    def __init__(self, change: Any) -> None:
        super().__init__()
        self.net, self.change = small_net().base, change

    def forward(self, z: Tensor) -> Any:
        return self.change(self.net(z))


class Output(dict[str, Any]):
    @property
    def logits(self) -> Tensor:
        return self["logits"]  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("change", "kind", "remedy"),
    [
        (lambda z: (z, None), "tuple", r"answer\[0\]"),
        (lambda z: [z, z], "list", r"answer\[0\]"),
        (lambda z: {"logits": z}, "dict", r"answer\['logits'\]"),
        (lambda z: {"out": z}, "dict", r"answer\['out'\]"),
        (lambda z: Output(logits=z), "Output", r"answer\.logits"),
        (lambda z: z.detach().numpy(), "ndarray", r"torch\.as_tensor"),
        (lambda z: None, "NoneType", "return the logits"),
    ],
)
def test_what_is_no_tensor_of_logits_is_named(change: Any, kind: str, remedy: str) -> None:
    g, x = SmoothedClassifier(Wrapped(change), 0.25, 4), images(2)
    expected = rf"expected a tensor of logits \(\d+, 4\).*got {kind};.*{remedy}"
    for use in (
        lambda: certify(g, x, n=20),
        lambda: predict(g, x, n=20),
        lambda: g(x / 255),
        lambda: SmoothAdvPGD(epsilon=0.1, steps=1)(g, x / 255, torch.zeros(2, dtype=torch.int64)),
    ):
        with pytest.raises(TypeError, match=expected):
            use()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda z: z[:, :3], r"expected logits \(\d+, 4\)"),
        (lambda z: z.argmax(1), r"expected logits \(\d+, 4\)"),
        (lambda z: z[:1], r"answers each image with one row"),
    ],
)
def test_logits_of_another_shape_are_named(change: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        certify(SmoothedClassifier(Wrapped(change), 0.25, 4), images(2), n=20)


def test_a_class_masked_by_minus_infinity_gets_no_votes_and_the_others_keep_theirs() -> None:
    def masked(z: Tensor) -> Tensor:
        return torch.cat([z, torch.full_like(z[:, :1], -torch.inf)], dim=1)

    x, plain = images(3), small_net()
    result = certify(SmoothedClassifier(Wrapped(masked), 0.25, 5), x, n=200)
    expected = certify(plain, x, n=200)
    assert torch.equal(result.counts[:, :4], expected.counts)
    assert not result.counts[:, 4].any()
    assert not result.invalid.any()
    everything = SmoothedClassifier(Wrapped(lambda z: torch.full_like(z, -torch.inf)), 0.25, 4)
    with pytest.raises(ValueError, match="expected a largest finite logit"):
        certify(everything, x, n=20)


class OnlyEight(nn.Module):
    """As exported for one batch size; or one that folds what it gets into eight rows."""

    def __init__(self, silent: bool) -> None:
        super().__init__()
        self.net, self.silent = small_net().base, silent
        self.seen: list[int] = []

    def forward(self, z: Tensor) -> Tensor:
        self.seen.append(len(z))
        if len(z) != 8:
            if self.silent:
                return torch.zeros(8, 4)
            raise RuntimeError("batch size 8 only")
        return self.net(z)  # type: ignore[no-any-return]


@pytest.mark.parametrize("silent", [False, True])
def test_a_base_exported_for_one_batch_size_gets_it(silent: bool) -> None:
    x, options = images(2), {"n": 100, "batch_size": 8, "precision": "float32"}
    result = certify(SmoothedClassifier(OnlyEight(silent), 0.25, 4), x, **options)  # type: ignore[arg-type]
    expected = certify(small_net(), x, **options)  # type: ignore[arg-type]
    assert torch.equal(result.counts, expected.counts)


def test_a_traced_base_has_the_votes_of_the_module_itself() -> None:
    g, x = small_net(), images(2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's own, on tracing
        traced = g.around(torch.jit.trace(g.base, x / 255))
        assert torch.equal(certify(traced, x, n=200).label, certify(g, x, n=200).label)
        assert torch.equal(predict(traced, x, n=200).label, predict(g, x, n=200).label)


def test_a_base_that_stores_activations_is_certified() -> None:
    g, x = small_net(), images(2)
    expected = certify(g, x, n=200).counts
    kept: dict[str, Tensor] = {}
    g.base.register_forward_hook(lambda module, given, out: setattr(module, "last", out))
    g.base[0].register_forward_hook(lambda module, given, out: kept.update(last=out))  # type: ignore[index]
    g(x / 255)
    assert torch.equal(certify(g, x, n=200).counts, expected)


def test_certification_leaves_the_caller_as_it_was() -> None:
    g, x = small_net(), images(2)
    g.base.train()
    flags = [p.requires_grad for p in g.parameters()]
    buffers = {name: buffer.clone() for name, buffer in g.named_buffers()}
    states = (
        lambda: torch.get_rng_state().tolist(),
        lambda: np.random.get_state()[1].tolist(),  # type: ignore[index,union-attr]  # noqa: NPY002
        random.getstate,
        torch.get_num_threads,
        torch.get_default_dtype,
        torch.is_grad_enabled,
        lambda: torch.backends.cudnn.benchmark,
        lambda: [m.training for m in g.modules()],
    )
    before = [state() for state in states]
    certify(g, x, n=100)
    predict(g, x, n=100)
    with pytest.raises(ValueError, match="expected a largest finite logit"):
        certify(SmoothedClassifier(Wrapped(lambda z: z * torch.nan), 0.25, 4), x, n=20)
    assert [state() for state in states] == before
    assert [p.requires_grad for p in g.parameters()] == flags
    assert all(torch.equal(buffers[name], buffer) for name, buffer in g.named_buffers())


@pytest.mark.parametrize("made_inside", [False, True])
def test_votes_in_inference_mode_are_the_same(made_inside: bool) -> None:
    x = images(2)
    expected = certify(small_net(), x, n=100).counts
    with torch.inference_mode(made_inside):
        g = small_net()
    with torch.inference_mode():
        assert torch.equal(certify(g, x, n=100).counts, expected)
    assert torch.equal(certify(g, x, n=100).counts, expected)


def test_threads_that_certify_predict_and_attack_one_model_do_not_disturb_each_other() -> None:
    """While one thread traces the network, another may call it."""
    g, x, y = small_net(), images(2), torch.zeros(2, dtype=torch.int64)
    noise, modes = g.sample_noise(x / 255, 2), [m.training for m in g.modules()]
    uses: list[Any] = [
        lambda: certify(g, x, n=100).counts,
        lambda: predict(g, x, n=100).label,
        lambda: SmoothAdvPGD(epsilon=0.1, steps=3)(g, x / 255, y, noise=noise),
        lambda: g.log_probs((x / 255).unsqueeze(1) + noise).detach(),
    ]
    expected, wrong = [use() for use in uses], []

    def work(at: int) -> None:
        for turn in range(12):
            now = (at + turn) % len(uses)
            try:
                if not torch.equal(uses[now](), expected[now]):
                    wrong.append(now)
            except Exception as error:
                wrong.append(error)

    threads = [threading.Thread(target=work, args=(at,)) for at in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert nn.Module.__call__ is ORIGINAL_CALL
    assert [m.training for m in g.modules()] == modes
    assert all(p.requires_grad for p in g.parameters())


def test_only_smoothed_classifiers_are_certified(tmp_path: Path) -> None:
    base, x = small_net().base, images(2)
    data = ImageData(x, torch.tensor([0, 1]), torch.arange(2), 4, "toy", "test")
    for use in (
        lambda: certify(base, x, n=20),  # type: ignore[arg-type]
        lambda: predict(base, x, n=20),  # type: ignore[arg-type]
        lambda: certify_dataset(base, data, tmp_path, CertifySettings(n=20)),  # type: ignore[arg-type]
    ):
        with pytest.raises(TypeError, match=r"expected a SmoothedClassifier, got Sequential; wrap"):
            use()
