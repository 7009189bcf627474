"""The engine: the algorithms of many images at once over one pool of votes.

Each image runs its own coroutine (``cohen.certification``). It asks for votes up to a sample number
and receives no more than those. The engine serves the requests of all running images in rounds of
full network passes, oldest image first. It lets in new images while a round has room. The votes of
an image depend only on its own noise stream. So neither the rounds nor its neighbours change its
result.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rsmooth.certify.settings import Sampling
from rsmooth.certify.votes.choice import choose_network
from rsmooth.certify.votes.network import FixedBatchNetwork, check_images_apart
from rsmooth.certify.votes.noisy import NoisyImages
from rsmooth.certify.votes.pool import Slice, VotePool
from rsmooth.certify.votes.profile import Profile, plain_profile
from rsmooth.certify.votes.requests import Outcome, Procedure, VoteRequest
from rsmooth.noise.grid import expect_noise
from rsmooth.noise.known_answers import verify_known_answers
from rsmooth.records.votes import compact, expanded
from rsmooth.smoothed import SmoothedClassifier

# The device is waited for once per round, and a kill loses one round. A round has as many passes as
# fit into this time.
ROUND_SECONDS = 1.0
MOST_PASSES = 4096


@dataclass(frozen=True)
class Drawn:
    """The votes drawn for an image so far: all that a later process needs to continue.

    answers: each request that was served, with its votes (K + 1,).
    reached: samples drawn so far of the request that is being served.
    votes: the votes of these samples; without meaning before the first one.
    seconds: spent on the image.

    A value that is replaced and never changed. So an interrupt always finds votes that match their
    number of samples.
    """

    answers: tuple[tuple[VoteRequest, NDArray[np.int64]], ...] = ()
    reached: int = 0
    votes: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    seconds: float = 0.0

    @property
    def total(self) -> int:
        """A number that grows with every vote drawn."""
        return sum(request.samples for request, _ in self.answers) + self.reached

    def record(self) -> dict[str, Any]:
        """The votes as plain values for a record."""
        return {
            "answers": [
                [request.purpose, request.samples, compact(votes)]
                for request, votes in self.answers
            ],
            "reached": self.reached,
            "votes": compact(self.votes),
            "seconds": self.seconds,
        }

    @classmethod
    def of_record(cls, record: Mapping[str, Any]) -> Drawn:
        """The votes that ``record`` wrote."""
        answers = tuple(
            (VoteRequest(purpose, samples), expanded(votes))
            for purpose, samples, votes in record["answers"]
        )
        return cls(answers, record["reached"], expanded(record["votes"]), record["seconds"])


class Task:
    """One image under certification: its algorithm, and the votes drawn for it.

        Task(0, 3, image, certification(rule, n0=100))

    position: in the data.
    image_id: identifies the image in the noise.
    image: (C, H, W) as stored.
    drawn: votes of an earlier process. ValueError if the algorithm asks for something else.
    """

    def __init__(
        self,
        position: int,
        image_id: int,
        image: Tensor,
        procedure: Procedure,
        drawn: Drawn | None = None,
    ) -> None:
        self.position = position
        self.image_id = image_id
        self.image = image
        self.drawn = Drawn()
        self._procedure = procedure
        self._request = next(procedure)
        self._outcome: Outcome | None = None
        if drawn is not None:
            self._resume(drawn)

    @property
    def finished(self) -> bool:
        """Whether the algorithm has returned."""
        return self._outcome is not None

    @property
    def outcome(self) -> Outcome:
        """The result; RuntimeError while votes are missing."""
        if self._outcome is None:
            raise RuntimeError(f"expected a finished image, got one that waits for {self._request}")
        return self._outcome

    def next_slice(self, room: int) -> Slice:
        """The copies to vote on next, at most ``room`` of them."""
        start = self.drawn.reached
        return Slice(
            self._request.purpose,
            self.image,
            self.image_id,
            start,
            min(self._request.samples, start + room),
        )

    def receive(self, votes: NDArray[np.int64], samples: int, seconds: float) -> None:
        """Add the votes of the next ``samples`` copies.

        The algorithm sees them once its request is complete.
        """
        before = self.drawn
        self.drawn = replace(
            before,
            reached=before.reached + samples,
            seconds=before.seconds + seconds,
            votes=before.votes + votes if before.reached else votes,
        )
        self._answer_if_complete()

    def _answer_if_complete(self) -> None:
        served, drawn = self._request, self.drawn
        if drawn.reached < served.samples:
            return
        drawn = replace(drawn, answers=(*drawn.answers, (served, drawn.votes)))
        try:
            self._request = self._procedure.send(drawn.votes)
        except StopIteration as end:
            self._outcome = end.value
        else:
            if self._request.purpose != served.purpose:
                drawn = replace(drawn, reached=0)
        self.drawn = drawn

    def _resume(self, drawn: Drawn) -> None:
        for request, votes in drawn.answers:
            if self.finished or request != self._request:
                raise ValueError(
                    f"expected recorded votes for {self._request}, got {request}; the record is of "
                    "another procedure: certify into a new folder"
                )
            self._restore(request.samples, votes)
        if drawn.reached > self.drawn.reached and not self.finished:
            self._restore(drawn.reached, drawn.votes)
        self.drawn = replace(self.drawn, seconds=drawn.seconds)

    def _restore(self, samples: int, votes: NDArray[np.int64]) -> None:
        if int(votes.sum()) != samples:
            raise ValueError(
                f"expected {samples} recorded votes, got {int(votes.sum())}; the record "
                "contradicts itself: certify into a new folder"
            )
        self.drawn = replace(self.drawn, reached=samples, votes=votes)
        self._answer_if_complete()


@dataclass(frozen=True)
class Round:
    """What a round of passes brought.

    finished: the images that it decided.
    running: the images that go on.
    samples: the noisy images that were voted on.
    """

    finished: list[Task]
    running: list[Task]
    samples: int


def drive(pool: VotePool, tasks: Iterator[Task]) -> Iterator[Round]:
    """Serve all tasks until each has finished.

        for turn in drive(pool, iter(tasks)):
            print(len(turn.finished), "images are decided")

    New tasks are taken from the iterator when there is room for them.
    """
    running: list[Task] = []
    passes = 1
    while True:
        work = _plan(running, tasks, passes * pool.network.batch)
        samples = sum(piece.stop - piece.start for _, piece in work)
        start = time.perf_counter()
        votes = pool.count([piece for _, piece in work])
        seconds = time.perf_counter() - start
        for (task, piece), row in zip(work, votes, strict=True):
            share = (piece.stop - piece.start) / samples
            task.receive(row, piece.stop - piece.start, seconds * share)
        finished = [task for task in running if task.finished]
        running = [task for task in running if not task.finished]
        if not work and not finished:
            return
        yield Round(finished, running, samples)
        passes = max(
            1, min(2 * passes, MOST_PASSES, int(passes * ROUND_SECONDS / max(seconds, 1e-9)))
        )


def _plan(running: list[Task], tasks: Iterator[Task], room: int) -> list[tuple[Task, Slice]]:
    """The slices of a round, of at most ``room`` copies, oldest image first.

    New tasks join ``running``.
    """
    work: list[tuple[Task, Slice]] = []
    waiting = iter(list(running))
    while room > 0:
        task = next(waiting, None)
        if task is None:
            task = next(tasks, None)
            if task is None:
                break
            running.append(task)
        if not task.finished:
            piece = task.next_slice(room)
            room -= piece.stop - piece.start
            work.append((task, piece))
    return work


def open_pool(
    g: SmoothedClassifier,
    source: NoisyImages,
    shape: torch.Size,
    settings: Sampling,
    samples: float,
    profile: Profile | None = None,
) -> VotePool:
    """The votes of g on images (C, H, W) = ``shape``.

        open_pool(g, source, torch.Size((3, 32, 32)), CertifySettings(), samples=1e6)

    samples: about how many noisy images the run needs. It only decides when the noise is compiled,
        which changes no bit.
    profile: how the network is executed; None chooses.

    RuntimeError where the noise generator does not give its known answers on this device. A
    warning, where a profile is to be chosen, for a network that draws at random.
    """
    batch = (profile or plain_profile(g, shape, settings)).batch
    operations = check_images_apart(g, shape, batch, warn=profile is None)
    network = (
        choose_network(g, shape, settings, operations * settings.expected_samples(1))
        if profile is None
        else FixedBatchNetwork(g, profile)
    )
    verify_known_answers(network.device)
    expect_noise(int(samples * shape.numel()), network.device)
    return VotePool(network, source, shape, operations)
