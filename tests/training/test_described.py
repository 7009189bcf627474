"""What two runs are compared by, and runs that an earlier version began."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from rsmooth.attacks import PGD
from rsmooth.defenses import Consistency, Stability, Trainer
from rsmooth.noise import Uniform
from rsmooth.objectives import naive
from rsmooth.plumbing.errors import RecordError
from rsmooth.smoothed import SmoothedClassifier
from rsmooth.training.described import ADDED, _constant, describe, describe_run, described_defaults
from tests.training.helpers import classifier, images, weights

OPTIONS: dict[str, Any] = {"epochs": 2, "batch_size": 12, "lr": 0.05, "precision": "float32"}


def test_what_changes_the_result_is_in_and_the_rest_is_not() -> None:
    described = describe(Trainer())
    assert described["trainer"] == "Trainer"
    assert described["lr"] == 0.1
    assert not {"workers", "tensorboard", "cuda_graphs", "checkpoint_seconds"} & set(described)
    assert described_defaults(Trainer()) == {name: described[name] for name in ADDED}


def test_an_attack_is_described_as_before_its_norm_was_an_option() -> None:
    described = describe(Trainer(attack=PGD(epsilon=0.5, steps=2)))["attack"]
    assert "norm" not in described
    far = describe(Trainer(attack=PGD(epsilon=0.5, steps=2, norm="linf")))["attack"]
    assert far == {**described, "norm": "linf"}


def begin(folder: Path, trainer: Trainer) -> None:
    """A run that stops in its second epoch, with the checkpoint of a version before this one."""

    def stop(epoch: int, step: int) -> None:
        if (epoch, step) == (1, 1):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trainer.fit(classifier(), images(), run_dir=folder, callback=stop, progress=False)
    state = torch.load(folder / "checkpoint.pt", weights_only=True)
    for key in (*ADDED, "computes"):
        state["config"].pop(key, None)
    for key in ("sampling", "average"):
        state.pop(key)
    torch.save(state, folder / "checkpoint.pt")


def test_a_run_of_an_earlier_version_goes_on(tmp_path: Path) -> None:
    whole, again = classifier(), classifier()
    Trainer(**OPTIONS).fit(whole, images(), progress=False)
    begin(tmp_path, Trainer(**OPTIONS, checkpoint_seconds=1e-9))
    Trainer(**OPTIONS).fit(again, images(), run_dir=tmp_path, progress=False)
    assert torch.equal(weights(again), weights(whole))


def test_but_not_with_an_option_that_it_did_not_have(tmp_path: Path) -> None:
    begin(tmp_path, Trainer(**OPTIONS, checkpoint_seconds=1e-9))
    with pytest.raises(RecordError, match="optimizer was 'sgd' and is 'adam'"):
        Trainer(**OPTIONS, optimizer="adam").fit(classifier(), images(), run_dir=tmp_path)


def test_nor_a_method_that_computes_something_else_since(tmp_path: Path) -> None:
    begin(tmp_path, Stability(**OPTIONS, checkpoint_seconds=1e-9))
    with pytest.raises(RecordError, match=r"computes was .* and is 'clean and noisy images in two"):
        Stability(**OPTIONS).fit(classifier(), images(), run_dir=tmp_path)


def test_a_run_is_named_by_its_noise_images_and_extras() -> None:
    g, data, column = classifier(), images(), torch.arange(24)
    described = describe_run(Trainer(), g, data, None, {})
    assert described["sigma"] == 0.25
    assert described["classes"] == 3
    assert described["data"] == data.fingerprint()
    assert described["validation"] is None
    assert "extras" not in described
    uniform = SmoothedClassifier(g.base, noise=Uniform(0.5), num_classes=3)
    assert describe_run(Trainer(), uniform, data, data, {})["noise"] == str(Uniform(0.5))
    digests = [
        describe_run(Trainer(), g, data, data, {"column": each})["extras"]["column"]
        for each in (column, column.clone(), column.float(), column.flip(0), column[:, None])
    ]
    assert digests[0] == digests[1]
    assert len(set(digests)) == 4


def test_functions_with_bound_arguments_have_a_name() -> None:
    def described(weight: float) -> Any:
        return describe(Trainer(train_loss=partial(weighted, weight=weight)))["train_loss"]

    assert described(2.0) == described(2.0) != described(3.0)
    assert described(2.0).endswith("test_described.weighted(weight=2.0)")


def weighted(log_probs: Tensor, y: Tensor, weight: float) -> Tensor:
    return weight * naive(log_probs, y)


def test_what_came_later_has_its_default_in_earlier_records() -> None:
    """The recipe's own late options, and those that a method marks so."""
    found = described_defaults(Consistency(form="mse"))
    assert found["form"] == "default"
    assert found["optimizer"] == "sgd"
    assert "entropy_weight" not in found


def _scaled(scale: float) -> Any:
    return lambda log_probs, y: scale * naive(log_probs, y)


class Loss:
    def __init__(self, scale: float) -> None:
        self.scale = scale

    def __call__(self, log_probs: Tensor, y: Tensor) -> Tensor:
        return self.scale * naive(log_probs, y)


def test_functions_and_objects_without_a_name_of_their_own_are_told_apart() -> None:
    """By what they do: the same in another process, where addresses differ."""

    def named(loss: Any) -> Any:
        return describe(Trainer(train_loss=loss))["train_loss"]

    assert named(_scaled(2.0)) == named(_scaled(2.0)) != named(_scaled(3.0))
    plain, other = (lambda lp, y: naive(lp, y)), (lambda lp, y: naive(lp, y) - 7)
    assert named(plain) != named(other)
    assert named(Loss(2.0)) == named(Loss(2.0)) != named(Loss(3.0))
    assert named(naive) == "rsmooth.objectives.naive"


def test_what_holds_itself_and_sets_of_words_have_a_name_too() -> None:
    def made() -> Any:
        def again(log_probs: Tensor, y: Tensor, deep: bool = True) -> Tensor:
            known = str(y.dtype) in {"torch.int64", "torch.int32", "torch.int16"}
            return again(log_probs, y, False) if deep and known else naive(log_probs, y)

        return again

    class Circle:
        def __init__(self) -> None:
            self.own = self

        def __call__(self, log_probs: Tensor, y: Tensor) -> Tensor:
            return naive(log_probs, y)

    for loss in (made, Circle):
        named = {describe(Trainer(train_loss=loss()))["train_loss"] for _ in range(2)}
        assert len(named) == 1
    constants = [_constant(frozenset(words)) for words in (("a", "b", "c"), ("c", "b", "a"))]
    assert constants[0] == constants[1] == ["'a'", "'b'", "'c'"]
