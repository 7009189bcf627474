"""What trials show: normalisation, noise, and what speaks against them."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from rsmooth.doctor.findings import Report
from rsmooth.doctor.sample import candidates
from rsmooth.doctor.verdict import judge
from rsmooth.models.folding import fold_batchnorm

from .helpers import digits_sample, trained


def judged(net: nn.Module, **options: object) -> tuple[Report, object]:
    report, one = Report("f", "k"), digits_sample()
    return report, judge(report, net, candidates(one.x), one, 10, **options)  # type: ignore[arg-type]


def text(report: Report, topic: str) -> tuple[str, str]:
    [found] = [each for each in report.findings if each.topic == topic]
    return found.mark, found.text


def test_batch_norm_decides() -> None:
    report, choice = judged(trained()[1])
    assert (choice.normalization, choice.sigma, choice.trained) == ("0.5:0.5", 0.25, 0.25)
    assert text(report, "normalisation")[0] == text(report, "sigma")[0] == "ok"
    assert report.facts["normalization_clear"]
    assert [row[0] for row in report.tables["accuracy by normalisation (95 % interval)"]].count(
        "*"
    ) == 1


def test_without_batch_norm_it_says_what_it_cannot_tell() -> None:
    net = fold_batchnorm(trained())[1]
    report, choice = judged(net, usual="0.5:0.5")
    assert choice.trained is None
    mark, words = text(report, "normalisation")
    assert mark == "look"
    assert words.startswith("cannot tell 0.5:0.5 from")
    assert "none" not in report.facts["rivals"]
    mark, words = text(report, "sigma")
    assert mark == "look"
    assert "accuracy alone does not tell" in words
    assert choice.sigma in report.facts["sigma_holds"]
    assert 1.0 not in report.facts["sigma_holds"]


def test_trained_without_noise() -> None:
    """Statistics of clean images, whatever the weights."""
    base = trained()
    base.train()
    with torch.no_grad():
        for _ in range(100):
            base(digits_sample().x)
    report, choice = judged(base.eval()[1])
    assert choice.trained == 0
    mark, words = text(report, "sigma")
    assert mark == "look"
    assert words.startswith("0: trained without noise")


def test_a_sigma_in_the_file_that_does_not_fit() -> None:
    report, choice = judged(trained()[1], sigma=0.5)
    assert choice.sigma == 0.5
    mark, words = text(report, "sigma")
    assert mark == "look"
    assert words.startswith("0.5 is in the file, but the statistics of batch norm came about under")


def test_stored_constants_that_are_worse_than_others() -> None:
    one, report = digits_sample(), Report("f", "k")
    layers = candidates(one.x, ((-1.5,), (0.2,)))
    judge(report, trained()[1], layers, one, 10, stored="stored")
    mark, words = text(report, "normalisation")
    assert mark == "look"
    assert words.startswith("stored is its own, but")
    assert "is right more often" in words


@pytest.mark.parametrize("sigma", [None, 0.25])
def test_the_same_again(sigma: float | None) -> None:
    first, second = (judged(trained()[1], sigma=sigma)[0].record() for _ in range(2))
    assert first == second
