"""Outputs that are no logits, and labels in another order."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from rsmooth.doctor.answers import constant, described, form, logits_of, permutation

RNG = np.random.default_rng(0)
LABELS = RNG.integers(0, 5, 200)
ORDER = [2, 0, 1, 4, 3]


def test_forms_of_outputs() -> None:
    logits = 3 * torch.randn(8, 5, generator=torch.Generator().manual_seed(0))
    assert form(logits) is None
    found = form(logits.softmax(1))
    assert found is not None
    assert (found.mark, found.topic) == ("wrong", "outputs")
    assert "softmax" in found.text
    logs = form(logits.log_softmax(1))
    assert logs is not None
    assert (logs.mark, "log-softmax" in logs.text) == ("ok", True)


def test_a_permutation_is_found_exactly() -> None:
    answers = np.asarray(ORDER)[LABELS]
    answers[:40] = RNG.integers(0, 5, 40)  # and some errors
    assert permutation(answers, LABELS, 5) == ORDER


def test_two_classes_that_were_swapped() -> None:
    answers = np.where(LABELS == 1, 3, np.where(LABELS == 3, 1, LABELS))
    assert permutation(answers, LABELS, 5) == [0, 3, 2, 1, 4]


def test_no_permutation_where_none_is() -> None:
    noisy = LABELS.copy()
    noisy[:60] = RNG.integers(0, 5, 60)
    assert permutation(noisy, LABELS, 5) is None
    assert permutation(RNG.integers(0, 5, 200), LABELS, 5) is None
    assert permutation(LABELS[:5], LABELS[:5], 5) is None
    assert permutation(np.full(200, 7), LABELS, 5) is None


def test_guessing_is_rarely_called_a_permutation() -> None:
    """40 % of 50 images by guesses among five: probability 1e-3 each; 3 of 200 with 1e-3."""
    found = [permutation(RNG.integers(0, 5, 100), LABELS[:100], 5) for _ in range(200)]
    assert sum(each is not None for each in found) <= 2


def test_answers_that_follow_the_labels_a_little_are_no_permutation() -> None:
    weak = np.where(RNG.random(200) < 0.1, (LABELS + 1) % 5, 0)
    assert permutation(weak, LABELS, 5) is None


def test_permutations_in_words() -> None:
    assert described([1, 2, 3, 0]) == "each answer is the label + 1 (modulo 4)"
    assert described([3, 2, 1, 0]) == "the classes are in reverse order (3 - label)"
    assert described([0, 2, 1, 3]) == "label -> answer: 1 -> 2, 2 -> 1"


def test_one_answer_to_everything() -> None:
    found = constant(np.full(10, 3), LABELS[:10])
    assert found is not None
    assert found.text.startswith("class 3 for each of 10 images")
    assert constant(np.array([1, 2]), np.array([1, 1])) is None
    assert constant(np.array([1, 1]), np.array([1, 1])) is None


def test_outputs_in_parts_are_those_at_once() -> None:
    x = torch.rand(70, 1, 2, 2)
    net = nn.Sequential(nn.Flatten(), nn.Linear(4, 3))
    torch.testing.assert_close(logits_of(net, nn.Identity(), x), net(x))
