"""The pool, the modes, and the soundness of the noise, end to end."""

from __future__ import annotations

import math
import sys
from types import FrameType
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from rsmooth.certify import ABSTAIN, CertifySettings
from rsmooth.certify.cohen import certification, certify, predict
from rsmooth.certify.votes.noisy import noisy_images
from rsmooth.certify.votes.pool import Slice, VotePool
from rsmooth.certify.votes.requests import Outcome, VoteRequest
from rsmooth.certify.votes.schedule import Drawn, Task, drive, open_pool
from rsmooth.smoothed import SmoothedClassifier
from tests.certify.nets import HalfSpace, half_space, images, small_net

SHAPE = torch.Size((1, 4, 4))


def make_pool(batch: int = 32, **options: Any) -> VotePool:
    g = small_net()
    settings = CertifySettings(
        n=100, batch_size=batch, precision="float32", compile="never", **options
    )
    return open_pool(g, noisy_images("integer", g.noise, 0, SHAPE), SHAPE, settings, 100)


def one(image: Tensor, image_id: int, start: int, stop: int, purpose: str = "estimate") -> Slice:
    return Slice(purpose, image, image_id, start, stop)


def test_votes_of_a_slice_are_those_of_its_copies_wherever_it_stands() -> None:
    pool, x = make_pool(), images(3)
    whole = pool.count([one(x[0], 7, 0, 100)])
    pieces = pool.count(
        [
            one(x[1], 1, 0, 13),
            one(x[0], 7, 0, 41),
            one(x[2], 2, 5, 6),
            one(x[0], 7, 41, 100),
            one(x[0], 7, 0, 10, "select"),
        ]
    )
    assert np.array_equal(pieces[1] + pieces[3], whole[0])
    assert pieces.sum(1).tolist() == [13, 41, 1, 59, 10]
    assert np.array_equal(make_pool(batch=11).count([one(x[0], 7, 0, 100)]), whole)


@pytest.mark.parametrize("piece", [(-1, 0, 5), (0, 2**32 - 2, 2**32 + 1)])
def test_counters_are_checked_before_they_go_to_a_device(
    piece: tuple[int, int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = make_pool()
    monkeypatch.setattr(pool.source, "points", None)  # nothing is drawn
    with pytest.raises(ValueError, match=r"image_ids >= 0 and sample_ids within 0..2\^32-1"):
        pool.count([one(images(1)[0], 3, 0, 5), one(images(1)[0], *piece)])


def test_logits_do_not_depend_on_the_place_in_the_batch_or_on_the_padding() -> None:
    pool = make_pool()
    points = torch.rand(32, *SHAPE, generator=torch.Generator().manual_seed(0))
    net = pool.network._net
    order = torch.randperm(32, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        assert torch.equal(net(points)[order], net(points[order]))
        padded = torch.cat([points[:5], torch.rand(27, *SHAPE)])
        assert torch.equal(net(padded)[:5], net(points)[:5])


def test_image_is_told_no_more_than_it_asked_for() -> None:
    """The algorithm sees the votes at its looks, and no vote past a look."""
    pool, x = make_pool(), images(5)
    told: dict[int, list[int]] = {}

    def curious(at: int) -> Any:
        for look in (3, 50, 51):
            votes = yield VoteRequest("estimate", look)
            told.setdefault(at, []).append(int(votes.sum()))
        return Outcome(ABSTAIN, 0.0, votes[:-1], 0, None, 51, ())

    tasks = (Task(at, at, x[at], curious(at)) for at in range(5))
    total = sum(turn.samples for turn in drive(pool, tasks))
    assert told == {at: [3, 50, 51] for at in range(5)}
    assert total == 5 * 51


def test_task_goes_on_from_its_record_and_refuses_another_procedure() -> None:
    pool, image = make_pool(), images(1)[0]
    rule = CertifySettings(n=100).rule(0.25, 0.0)
    task = Task(0, 3, image, certification(rule, 20))
    for room in (20, 30):
        piece = task.next_slice(room)
        task.receive(pool.count([piece])[0], piece.stop - piece.start, 0.5)
    again = Task(0, 3, image, certification(rule, 20), Drawn.of_record(task.drawn.record()))
    assert again.next_slice(1000) == Slice("estimate", image, 3, 30, 100)
    assert again.drawn.seconds == 1.0
    with pytest.raises(RuntimeError, match="waits for"):
        _ = again.outcome
    with pytest.raises(ValueError, match="another procedure"):
        Task(0, 3, image, certification(rule, 21), task.drawn)


def sides(g: SmoothedClassifier, x: Tensor) -> Tensor:
    """The true radius of each image under a half-space, negative on the side of class 0."""
    net = g.base
    assert isinstance(net, HalfSpace)
    return ((x.double() / 255) * net.w).flatten(1).sum(1) - net.b


def test_radius_mode_decides_clear_images_as_the_fixed_mode_does() -> None:
    g, x = half_space(), images(60, seed=9)
    fixed = certify(g, x, n=4000)
    decided = certify(g, x, n=4000, mode="radius", radius=0.25)
    clear = (sides(g, x).abs() - 0.25).abs() > 0.08
    assert clear.sum() > 30
    assert torch.equal((fixed.radius >= 0.25)[clear], (decided.label != ABSTAIN)[clear])
    assert set(decided.radius.tolist()) == {0.0, 0.25}
    assert decided.samples.double().mean() < 0.3 * 4000
    assert decided.looks[0][-1][0] == decided.samples[0]


def test_grid_mode_certifies_the_cell_of_the_fixed_radius() -> None:
    g, x = half_space(), images(30, seed=9)
    radii = (0.0, 0.2, 0.4, 0.6)
    fixed, cells = certify(g, x, n=4000), certify(g, x, n=4000, mode="grid", radii=radii)
    assert set(cells.radius.tolist()) <= set(radii)
    assert ((cells.radius - fixed.radius).abs() < 0.21)[cells.label >= 0].all()
    assert cells.samples.double().mean() < 4000


def test_anytime_mode_comes_within_its_tolerance() -> None:
    g, x = half_space(), images(30, seed=9)
    fixed, early = certify(g, x, n=4000), certify(g, x, n=4000, mode="anytime", tolerance=0.1)
    # The tolerance holds for the share that was seen when sampling ended; that share is off by some
    # 0.1 in the radius.
    given_away = fixed.radius - early.radius
    assert given_away.mean() <= 0.1
    assert given_away.max() <= 0.3
    assert (given_away > 0).any()
    assert early.samples.double().mean() < 0.8 * 4000


def test_modes_share_the_first_votes() -> None:
    """A sequential mode sees a prefix of the stream that the fixed mode sees."""
    g, x = small_net(), images(4)
    decided = certify(g, x, n=1000, mode="radius", radius=0.1)
    for at in range(4):
        samples = int(decided.samples[at])
        prefix = certify(g, x[at : at + 1], n=samples)
        assert torch.equal(prefix.counts[0], decided.counts[at])


class RecognisesRounding(nn.Module):
    """Class 1 where every value near zero is a multiple of 2^-25, as it is where a grey pixel met
    float32 noise.
    """

    def forward(self, z: Tensor) -> Tensor:
        steps = z.double() * 2**25
        fits = (z.abs() >= 0.25) | (steps == steps.round())
        grey = fits.flatten(1).all(1).to(z.dtype)
        return torch.stack([1 - grey, grey], dim=1)


def test_float_noise_gives_a_false_certificate_and_grid_noise_does_not() -> None:
    """A base classifier that reads the rounding of x + noise (Voracek and Hein 2023), not its
    value.
    """
    g = SmoothedClassifier(RecognisesRounding(), 0.5, 2)
    grey, black = (torch.full((1, 1, 2, 2), value, dtype=torch.uint8) for value in (128, 0))
    distance = math.sqrt(4) * 128 / 255
    false = certify(g, grey, n=1000, arithmetic="float")
    assert false.label.item() == 1
    assert false.radius.item() > distance, "certified beyond the black image"
    assert predict(g, black, n=1000, arithmetic="float").label.item() == 0
    sound = certify(g, grey, n=1000)
    assert (
        sound.label.item() == ABSTAIN
        or sound.radius.item() < distance
        or (predict(g, black, n=1000).label.item() in (sound.label.item(), ABSTAIN))
    )
    assert sound.label.item() != 1


def test_progress_bar_counts_images(capsys: pytest.CaptureFixture[str]) -> None:
    certify(half_space(), images(3), n=50, progress=True)
    shown = capsys.readouterr().err
    assert "3.0/3 images" in shown
    assert "samples/s" in shown


def feed(task: Task) -> Outcome:
    """Serve a task seven votes at a time: sample i of a stream votes for class 1 unless i mod 9 is
    0.
    """
    while not task.finished:
        piece = task.next_slice(7)
        classes = [int(sample % 9 != 0) for sample in range(piece.start, piece.stop)]
        task.receive(np.bincount(classes, minlength=4).astype(np.int64), len(classes), 0.0)
    return task.outcome


def test_an_interrupt_between_any_two_lines_neither_repeats_nor_mixes_votes() -> None:
    image, rule = images(1)[0], CertifySettings(n=100, mode="radius", radius=0.1).rule(0.5, 0.0)
    expected, line = feed(Task(0, 3, image, certification(rule, 20))), 0
    assert expected.looks[-1][1] < expected.looks[-1][0] == expected.samples > 32

    def interrupting(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal left
        if not frame.f_code.co_filename.endswith("schedule.py"):
            return None
        if event == "line":
            left -= 1
            if left == 0:
                raise KeyboardInterrupt
        return interrupting

    interrupted = True
    while interrupted:
        line += 1
        left, task, interrupted = line, Task(0, 3, image, certification(rule, 20)), False
        before = sys.gettrace()
        sys.settrace(interrupting)
        try:
            feed(task)
        except KeyboardInterrupt:
            interrupted = True
        finally:
            sys.settrace(before)
        found = feed(
            Task(0, 3, image, certification(rule, 20), Drawn.of_record(task.drawn.record()))
        )
        assert found.looks == expected.looks, f"interrupted before line {line}"
        assert found.counts.tolist() == expected.counts.tolist()
    assert line > 100


def test_a_record_of_more_votes_than_samples_is_refused() -> None:
    image, rule = images(1)[0], CertifySettings(n=100).rule(0.5, 0.0)
    unsound = Drawn((), 5, np.array([3, 3, 0, 0]))
    with pytest.raises(ValueError, match="expected 5 recorded votes, got 6"):
        Task(0, 3, image, certification(rule, 20), unsound)
