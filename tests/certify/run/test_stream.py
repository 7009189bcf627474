"""Events of a certification: certificates at once, unfinished votes now and then."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from rsmooth.certify import (
    CertificationLog,
    CertifySettings,
    certify_dataset,
)
from rsmooth.certify.run import stream
from rsmooth.certify.run.stream import Event, certify_positions, take_all
from rsmooth.certify.votes import schedule as engine
from rsmooth.certify.votes.noisy import noisy_images
from rsmooth.certify.votes.pool import VotePool
from rsmooth.certify.votes.requests import VoteRequest
from rsmooth.certify.votes.schedule import Drawn, open_pool
from rsmooth.records.journal import parse_journal
from tests.certify.nets import small_net
from tests.certify.recorded import SETTINGS, seven


def test_votes_of_unfinished_images_are_journaled_on_the_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "MOST_PASSES", 1)
    monkeypatch.setattr(stream, "CHECKPOINT_SECONDS", 0.0)
    monkeypatch.setattr(stream, "LOST_SECONDS", 0.0)
    certify_dataset(small_net(), seven(), tmp_path, SETTINGS, workers=1, progress=False)
    looks = [
        entry.data
        for entry in parse_journal(tmp_path / "certificates.jsonl").entries
        if entry.kind == "partial"
    ]
    assert len(looks) > 50
    assert all(sum(look["votes"]) == look["reached"] for look in looks if look["reached"])


def opened(settings: CertifySettings = SETTINGS) -> VotePool:
    g, shape = small_net(), torch.Size((1, 4, 4))
    source = noisy_images("integer", g.noise, settings.seed, shape)
    return open_pool(g, source, shape, settings, 1.0)


def test_each_image_is_an_event_once_it_is_decided(reference: CertificationLog) -> None:
    events = list(certify_positions(opened(), seven(), SETTINGS, [5, 0, 2], {}))
    images = [payload for kind, payload in events if kind == "image"]
    rounds = [payload for kind, payload in events if kind == "round"]
    assert [image["idx"] for image in images] == [103, 3, 43]
    for image in images:
        row = int(np.flatnonzero(reference.idx == image["idx"])[0])
        assert image["label"] == reference.label[row]
        assert image["predict"] == reference.predict[row]
        assert image["radius"] == reference.radius[row]
        assert reference.counts is not None
        assert image["counts"] == reference.counts[row].tolist()
        assert (image["n0"], image["n"]) == (20, 300)
    assert sum(each["finished"] for each in rounds) == 3
    assert sum(each["samples"] for each in rounds) == 3 * 320


def test_a_task_is_opened_for_the_label_without_selection() -> None:
    settings = replace(SETTINGS, target="label")
    events = certify_positions(opened(settings), seven(), settings, [1], {})
    (image,) = (payload for kind, payload in events if kind == "image")
    assert image["selection"] is None
    assert image["n0"] == 0
    assert image["predict"] in (1, -1)


@pytest.mark.parametrize("checkpoint", [0.0, 1e9])
def test_an_interrupt_reports_every_vote_that_is_new_once(
    checkpoint: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "MOST_PASSES", 1)
    monkeypatch.setattr(stream, "CHECKPOINT_SECONDS", checkpoint)
    monkeypatch.setattr(stream, "LOST_SECONDS", 0.0)
    count, rounds = VotePool.count, iter(range(4))

    def counting(self: VotePool, work: Any) -> Any:
        if next(rounds, None) is None:
            raise KeyboardInterrupt
        return count(self, work)

    monkeypatch.setattr(VotePool, "count", counting)
    events: list[Event] = []
    with pytest.raises(KeyboardInterrupt):
        events.extend(certify_positions(opened(), seven(), SETTINGS, [0, 1], {}))
    partials = [payload for kind, payload in events if kind == "partial"]
    totals: dict[int, list[int]] = {}
    for each in partials:
        totals.setdefault(each["idx"], []).append(Drawn.of_record(each).total)
    assert set(totals) <= {3, 23}
    assert all(each == sorted(set(each)) for each in totals.values()), "reported twice"
    assert sum(each[-1] for each in totals.values()) == 4 * 32
    assert (len(partials) > len(totals)) == (checkpoint == 0.0)


@pytest.mark.parametrize(("n0", "n", "lost"), [(20, 300, 30.0), (3, 11, 30.0), (20, 300, 0.0)])
def test_an_interrupt_while_an_event_is_taken_loses_no_other_vote(
    n0: int, n: int, lost: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At each event in turn. Of 14 samples, several images are decided in one round."""
    settings, positions = replace(SETTINGS, n0=n0, n=n), [0, 1, 2, 3, 4]
    monkeypatch.setattr(engine, "MOST_PASSES", 4)
    monkeypatch.setattr(stream, "CHECKPOINT_SECONDS", lost)
    monkeypatch.setattr(stream, "LOST_SECONDS", lost)
    monkeypatch.setattr(stream, "LOST_SHARE", 0.0)
    events = list(certify_positions(opened(settings), seven(), settings, positions, {}))
    count, drawn = VotePool.count, [0]

    def counting(self: VotePool, work: Any) -> Any:
        drawn[0] += sum(piece.stop - piece.start for piece in work)
        return count(self, work)

    monkeypatch.setattr(VotePool, "count", counting)
    for number, (kind, _) in enumerate(events):
        drawn[0], taken, left, drawn_then = 0, [], iter(range(number)), []

        def take(
            event: Event,
            left: Iterator[int] = left,
            taken: list[Event] = taken,
            drawn_then: list[int] = drawn_then,
        ) -> None:
            if next(left, None) is None and not drawn_then:
                drawn_then.append(drawn[0])
                if event[0] == "image":  # the certificate that may be lost
                    taken.append(event)
                raise KeyboardInterrupt
            taken.append(event)

        with pytest.raises(KeyboardInterrupt):
            take_all(certify_positions(opened(settings), seven(), settings, positions, {}), take)
        images = [payload["idx"] for kind, payload in taken if kind == "image"]
        votes = {p["idx"]: Drawn.of_record(p).total for kind, p in taken if kind == "partial"}
        kept = sum(total for idx, total in votes.items() if idx not in images)
        assert len(set(images)) == len(images)
        assert len(images) * (n0 + n) + kept == drawn[0], (number, kind)
        assert drawn_then == [drawn[0]], "drawn on after the interrupt"


def test_events_that_have_ended_are_not_asked_again() -> None:
    def ends() -> Generator[Event]:
        yield "image", {}
        raise KeyboardInterrupt

    taken: list[Event] = []
    with pytest.raises(KeyboardInterrupt):
        take_all(ends(), taken.append)
    assert taken == [("image", {})]
    take_all((event for event in [("round", {})]), taken.append)
    assert len(taken) == 2


def drawn_for(seconds: float) -> Drawn:
    return Drawn((), 10, np.array([10, 0, 0, 0, 0]), seconds)


def test_the_longest_drawn_votes_are_reported_until_little_can_be_lost() -> None:
    tasks: list[Any] = [
        SimpleNamespace(image_id=idx, drawn=drawn_for(seconds))
        for idx, seconds in ((3, 4.0), (5, 1.0), (7, 3.0), (9, 0.5))
    ]
    reported: dict[int, Drawn] = {}

    def images(may_be_lost: float) -> list[int]:
        return [each["idx"] for _, each in stream._partial(tasks, reported, may_be_lost)]

    assert images(8.5) == []
    assert images(2.0) == [3, 7]  # 8.5 seconds less 4 and 3
    assert images(2.0) == []
    tasks[0].drawn = replace(tasks[0].drawn, reached=20, seconds=5.0)
    assert images(2.0) == [3]
    assert images(-1.0) == [5, 9]
    assert images(-1.0) == []


@pytest.mark.parametrize(("share", "some"), [(0.0, True), (1e9, False)])
def test_what_may_be_lost_grows_with_the_run(
    share: float, some: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "MOST_PASSES", 1)
    monkeypatch.setattr(stream, "CHECKPOINT_SECONDS", 0.0)
    monkeypatch.setattr(stream, "LOST_SECONDS", 0.0)
    monkeypatch.setattr(stream, "LOST_SHARE", share)
    kinds = [kind for kind, _ in certify_positions(opened(), seven(), SETTINGS, [0, 1], {})]
    assert kinds.count("image") == 2
    assert ("partial" in kinds) == some


def test_votes_of_an_earlier_run_are_not_reported_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(self: VotePool, work: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(VotePool, "count", interrupted)
    votes = np.array([20, 0, 0, 0, 0], dtype=np.int64)
    drawn = {3: Drawn(((VoteRequest("select", 20), votes),), 0, np.zeros(0, dtype=np.int64), 2.0)}
    events: list[Event] = []
    with pytest.raises(KeyboardInterrupt):
        events.extend(certify_positions(opened(), seven(), SETTINGS, [0, 1], drawn))
    assert events == []


def test_votes_of_an_earlier_run_are_not_drawn_again(reference: CertificationLog) -> None:
    assert reference.selection is not None
    chosen = np.append(reference.selection[0], 0)
    drawn = Drawn(((VoteRequest("select", 20), chosen),), 0, np.zeros(0, dtype=np.int64), 2.0)
    events = list(certify_positions(opened(), seven(), SETTINGS, [0], {3: drawn}))
    (image,) = (payload for kind, payload in events if kind == "image")
    assert image["radius"] == reference.radius[0]
    assert image["seconds"] > 2.0
    assert sum(payload["samples"] for kind, payload in events if kind == "round") == 300
