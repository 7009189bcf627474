"""Folded batch norm is the same function: for every model, awkward modules, after refreshing."""

import copy
import sys
import types
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import Tensor, nn

from rsmooth.models import fold_batchnorm, refold
from rsmooth.models.folding import FoldedConv2d
from rsmooth.registry import MODELS
from rsmooth.smoothed import SmoothedClassifier
from tests.models.helpers import OWN, build


def randomise(model, seed=0):
    """Batch norms as after training: random values, near enough to 1 to keep deep nets finite."""
    generator = torch.Generator().manual_seed(seed)
    for layer in model.modules():
        if isinstance(layer, nn.BatchNorm2d):
            for tensor, low, high in (
                (layer.running_mean, -0.5, 0.5),
                (layer.running_var, 0.8, 2.0),
                (layer.weight, 0.2, 0.9),
                (layer.bias, -0.5, 0.5),
            ):
                if tensor is not None:
                    tensor.data = (
                        torch.rand(tensor.shape, generator=generator, dtype=tensor.dtype)
                        * (high - low)
                        + low
                    )
    return model


def without(layer, name):
    """A batch norm as some releases of torch make it: without its bias, or without its weight."""
    setattr(layer, name, None)
    return layer


def count(model, kind):
    return sum(isinstance(layer, kind) for layer in model.modules())


def check_same_function(model, x, *, folds, rest=0):
    """The folded copy agrees in value and input gradient.

    It has folded that many pairs, and left that many batch norms.
    """
    model = randomise(model).double().eval()
    x = x.double()
    folded = fold_batchnorm(model)
    a, b = x.clone().requires_grad_(), x.clone().requires_grad_()
    ours, theirs = folded(a), model(b)
    torch.testing.assert_close(ours, theirs, atol=1e-10, rtol=1e-10)
    weights = torch.randn_like(ours)
    (ours * weights).sum().backward()
    (theirs * weights).sum().backward()
    torch.testing.assert_close(a.grad, b.grad, atol=1e-10, rtol=1e-10)
    assert (count(folded, FoldedConv2d), count(folded, nn.BatchNorm2d)) == (folds, rest)
    return model, folded


# Batch norms that no convolution feeds alone: those that read a sum.
LEFT = {"wrn-28-10": 4}


@pytest.mark.parametrize("name", OWN)
def test_every_model_folds_where_convolutions_feed_batch_norms(name):
    model, x = build(name)
    left = count(model, nn.MaxPool2d) if name == "patch-cnn" else LEFT.get(name, 0)
    check_same_function(model, x, folds=count(model, nn.BatchNorm2d) - left, rest=left)


def test_the_copy_is_frozen_in_eval_mode_and_separate():
    model, x = build("resnet8")
    model = randomise(model).train()
    before = copy.deepcopy(model.state_dict())
    folded = fold_batchnorm(model)
    assert model.training
    assert not any(layer.training for layer in folded.modules())
    assert not any(p.requires_grad for p in folded.parameters())
    assert all(p.requires_grad for p in model.parameters())
    with torch.no_grad():
        expected = model.eval()(x)
        for p in folded.parameters():
            p.zero_()
        assert torch.equal(model(x), expected)
    assert all(torch.equal(before[key], tensor) for key, tensor in model.state_dict().items())


class Awkward(nn.Module):
    """Convolutions and batch norms that stand side by side, some of which must not be folded."""

    def __init__(self, case: str) -> None:
        super().__init__()
        self.case = case
        self.conv, self.bn = nn.Conv2d(2, 2, 3, padding=1), nn.BatchNorm2d(2)
        self.other, self.other_bn = nn.Conv2d(2, 2, 3, padding=1), nn.BatchNorm2d(2)

    def forward(self, x: Tensor) -> Tensor:
        if self.case == "read twice":
            y = self.conv(x)
            return self.bn(y) + y
        if self.case == "convolution called twice":
            return self.conv(self.bn(self.conv(x)))
        if self.case == "batch norm called twice":
            return self.bn(self.other(self.bn(self.conv(x))))
        if self.case == "weight read":
            return self.bn(self.conv(x)) * self.conv.weight.sum()
        if self.case == "statistics read":
            return self.bn(self.conv(x)) * self.bn.running_var.sum()
        if self.case == "crossed":
            return self.bn(self.other(self.other_bn(self.conv(x))))
        if self.case == "norm first":
            return self.conv(self.bn(x))
        if self.case == "relu between":
            return self.bn(self.conv(x).relu())
        if self.case == "untraceable":
            return self.bn(self.conv(x)) if x.sum() > 0 else x
        raise AssertionError(self.case)


def test_a_forward_of_the_object_decides_what_is_folded():
    """That of the class, which nobody calls, has a batch norm that this one leaves out."""
    model = Awkward("crossed")
    model.forward = types.MethodType(lambda self, x: self.bn(self.conv(x)) + self.other(x), model)
    check_same_function(model, torch.rand(3, 2, 5, 5), folds=1, rest=1)


@pytest.mark.parametrize(
    ("case", "folds", "rest"),
    [
        ("read twice", 0, 2),
        ("convolution called twice", 0, 2),
        ("batch norm called twice", 0, 2),
        ("weight read", 0, 2),
        ("statistics read", 0, 2),
        ("crossed", 2, 0),
        ("norm first", 0, 2),
        ("relu between", 0, 2),
        ("untraceable", 0, 2),
    ],
)
def test_only_what_data_flow_allows_is_folded(case, folds, rest):
    torch.manual_seed(0)
    check_same_function(Awkward(case), torch.rand(3, 2, 5, 5), folds=folds, rest=rest)


@pytest.mark.parametrize(
    ("convolution", "batchnorm", "folds"),
    [
        (nn.Conv2d(4, 8, 3, stride=2, padding=1, groups=2, bias=False), nn.BatchNorm2d(8), 1),
        (nn.Conv2d(4, 8, (3, 1), padding="same", dilation=2), nn.BatchNorm2d(8, eps=0.1), 1),
        (nn.Conv2d(4, 8, 3, padding=1, padding_mode="reflect"), nn.BatchNorm2d(8), 1),
        (nn.Conv2d(4, 8, 3), nn.BatchNorm2d(8, affine=False), 1),
        (nn.Conv2d(4, 8, 3), without(nn.BatchNorm2d(8), "bias"), 1),
        (nn.Conv2d(4, 8, 3), without(nn.BatchNorm2d(8), "weight"), 1),
        (nn.Conv2d(4, 8, 3), nn.BatchNorm2d(8, track_running_stats=False), 0),
        (nn.ConvTranspose2d(4, 8, 3), nn.BatchNorm2d(8), 0),
        (nn.utils.parametrizations.weight_norm(nn.Conv2d(4, 8, 3)), nn.BatchNorm2d(8), 0),
    ],
)
def test_every_geometry_of_convolution(convolution, batchnorm, folds):
    torch.manual_seed(0)
    check_same_function(
        nn.Sequential(convolution, batchnorm), torch.rand(3, 4, 7, 7), folds=folds, rest=1 - folds
    )


def test_padding_that_was_changed_later_is_kept_as_the_layer_computes_it():
    """Other paddings than zeros go by what the layer noted when it was made."""
    model = nn.Sequential(nn.Conv2d(2, 2, 3, padding=1, padding_mode="circular"), nn.BatchNorm2d(2))
    model[0].padding = (2, 2)
    check_same_function(model, torch.rand(2, 2, 5, 5), folds=1)


@pytest.mark.parametrize("shared", ["convolution", "batchnorm"])
def test_a_layer_reachable_by_two_paths_stays(shared):
    class Shared(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.convolution, self.batchnorm = nn.Conv2d(2, 2, 1), nn.BatchNorm2d(2)
            self.second = getattr(self, shared)

        def forward(self, x: Tensor) -> Tensor:
            if shared == "convolution":
                return self.batchnorm(self.second(x))
            return self.second(self.convolution(x))

    check_same_function(Shared(), torch.rand(2, 2, 3, 3), folds=0, rest=1)


def test_layers_of_one_shape_need_not_agree_in_anything_else():
    """They are computed together only where eps, bias and affine agree."""
    layers = [
        layer
        for options, bias in (
            ({}, True),
            ({"eps": 0.5}, True),
            ({"affine": False}, True),
            ({}, False),
        )
        for layer in (nn.Conv2d(2, 2, 1, bias=bias), nn.BatchNorm2d(2, **options))
    ]
    check_same_function(nn.Sequential(*layers), torch.rand(2, 2, 3, 3), folds=4)


def test_tied_weights_are_untied_by_folding():
    model = nn.Sequential(
        nn.Conv2d(2, 2, 1, bias=False), nn.BatchNorm2d(2), nn.Conv2d(2, 2, 1, bias=False)
    )
    model[2].weight = model[0].weight
    model, folded = check_same_function(model, torch.rand(2, 2, 3, 3), folds=1)
    refold(folded, model)


def test_a_hook_keeps_its_layer():
    model = nn.Sequential(nn.Conv2d(2, 2, 1), nn.BatchNorm2d(2))
    model[0].register_forward_hook(lambda layer, args, out: out * 2)
    check_same_function(model, torch.rand(2, 2, 3, 3), folds=0, rest=1)


@pytest.mark.parametrize(
    ("layer", "method"), [(0, "forward"), (0, "_conv_forward"), (1, "forward")]
)
def test_a_method_of_the_object_keeps_its_layer(layer, method):
    model = nn.Sequential(nn.Conv2d(2, 2, 1), nn.BatchNorm2d(2))
    own = getattr(model[layer], method)
    setattr(model[layer], method, lambda *given: own(*given) * 2)
    check_same_function(model, torch.rand(2, 2, 3, 3), folds=0, rest=1)


def test_batch_norm_that_stays_in_train_mode_is_left_alone():
    class Stubborn(nn.Sequential):
        def train(self, mode=True):
            super().train(mode)
            self[1].train()
            return self

    model = Stubborn(nn.Conv2d(2, 2, 1), nn.BatchNorm2d(2))
    check_same_function(model, torch.rand(2, 2, 3, 3), folds=0, rest=1)


def test_untraceable_parents_have_their_children_folded():
    """Tracing cannot follow the noise of a smoothed classifier; its base folds all the same."""
    g = SmoothedClassifier(randomise(build("resnet8")[0]).double(), sigma=0.5, num_classes=7).eval()
    folded = fold_batchnorm(g)
    assert isinstance(folded, SmoothedClassifier)
    assert count(folded, nn.BatchNorm2d) == 0
    x = torch.rand(2, 1, 8, 8, dtype=torch.float64)
    with g.frozen_noise(0), folded.frozen_noise(0):
        torch.testing.assert_close(folded(x), g(x), atol=1e-10, rtol=0)


@pytest.mark.parametrize("name", ["resnet20", "small-cnn", "resnet9", "patch-cnn"])
def test_refold_follows_training_in_place(name):
    model, x = build(name, normalize=(0.3, 0.6))
    model, x = randomise(model).double(), x.double()
    folded = fold_batchnorm(model)
    places = {key: tensor.data_ptr() for key, tensor in folded.state_dict().items()}
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(2):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model.train()(x), torch.arange(4)).backward()
        optimizer.step()
    with torch.no_grad():
        expected = model.eval()(x)
        assert (folded(x) - expected).abs().max() > 1e-3
        refold(folded, model)
        torch.testing.assert_close(folded(x), expected, atol=1e-10, rtol=0)
    assert places == {key: tensor.data_ptr() for key, tensor in folded.state_dict().items()}
    assert not any(p.requires_grad for p in folded.parameters())


def test_refold_keeps_the_copys_dtype_and_memory_format():
    model = randomise(build("resnet8")[0]).eval()
    folded = fold_batchnorm(model).to(torch.bfloat16).to(memory_format=torch.channels_last)
    weight = folded[1].layer2[0].conv1.weight
    strides = weight.stride()
    before = weight.clone()
    with torch.no_grad():
        model[1].layer2[0].bn1.weight.mul_(2)
    refold(folded, model)
    assert weight.dtype == torch.bfloat16
    assert weight.stride() == strides
    torch.testing.assert_close(weight, before * 2, rtol=0.01, atol=0)


def test_a_folded_copy_can_be_copied_and_refreshed():
    model, x = build("resnet8")
    again = copy.deepcopy(fold_batchnorm(model.double()))
    randomise(model).eval()
    refold(again, model)
    torch.testing.assert_close(again(x.double()), model(x.double()), atol=1e-10, rtol=0)


def test_architecture_and_weights_of_small_models_survive_without_batch_norm():
    model = MODELS.create("mlp", in_channels=1, image_size=4)
    check_same_function(model, torch.rand(2, 1, 4, 4), folds=0)


def test_folding_in_several_threads_leaves_torch_as_it_was():
    """Tracing replaces methods of nn.Module; two traces at once would not put them back."""
    model, _ = build("resnet8")
    call, lookup = nn.Module.__call__, nn.Module.__getattr__
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(4) as pool:
            folded = list(pool.map(lambda _: fold_batchnorm(model), range(16)))
    finally:
        sys.setswitchinterval(interval)
    assert {count(one, FoldedConv2d) for one in folded} == {count(model, nn.BatchNorm2d)}
    assert nn.Module.__call__ is call
    assert nn.Module.__getattr__ is lookup


def test_folding_draws_nothing_from_the_callers_generator():
    model, _ = build("resnet8")
    before = torch.get_rng_state()
    fold_batchnorm(model)
    assert torch.equal(torch.get_rng_state(), before)
