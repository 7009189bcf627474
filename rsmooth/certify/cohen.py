"""Certification and prediction as Cohen et al. 2019 (arXiv:1902.02918) state them.

``certification`` and ``prediction`` are the two algorithms for one image, written as coroutines.
They yield the votes that they need and receive the counts. ``votes`` decides who draws the votes,
in which batches and on which device. So any number of images run through the same network passes,
and nothing of it is visible here.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from rsmooth.certify.options import options_of
from rsmooth.certify.proof.bounds import binomial_p_value
from rsmooth.certify.proof.stopping import StoppingRule
from rsmooth.certify.provenance import stated
from rsmooth.certify.results import Certificates, Predictions
from rsmooth.certify.run.header import model_section
from rsmooth.certify.settings import CertifySettings, PredictSettings
from rsmooth.certify.votes.images import Given, given_images, image_ids, stored_images
from rsmooth.certify.votes.noisy import noisy_images
from rsmooth.certify.votes.pool import VotePool
from rsmooth.certify.votes.requests import Outcome, Procedure, VoteRequest
from rsmooth.certify.votes.schedule import Task, drive, open_pool
from rsmooth.plumbing.progress import ProgressBar
from rsmooth.plumbing.tensors import Labels, as_labels, channels_taken, check_labels
from rsmooth.records.log import ABSTAIN
from rsmooth.smoothed import SmoothedClassifier, check_smoothed


def certification(rule: StoppingRule, n0: int, label: int | None = None) -> Procedure:
    """CERTIFY for one image, with a fixed number of samples or one that a rule ends.

        votes = yield from certification(settings.rule(Gaussian(0.25), 0.0), n0=100)

    n0 votes select the class, or fewer where the rule says so, unless ``label`` gives it. Votes of
    an independent stream then test this class at each look of the rule. A vote that is not for the
    class counts against it, for whatever reason. Ties go to the lowest class. ValueError where no
    copy has finite logits. Cohen et al. 2019, section 3.2.2.
    """
    selection, selected_from = None, 0
    if label is None:
        selection, selected_from = yield from _selection(rule, n0)
        label = int(selection.argmax())
    hits: list[int] = []
    for look in rule.looks:
        votes = _some_finite((yield VoteRequest("estimate", look)))
        hits.append(int(votes[label]))
        decision = rule.decide(hits)
        if decision is not None:
            return Outcome(
                label if decision.certified else ABSTAIN,
                decision.radius if decision.certified else 0.0,
                votes[:-1],
                int(votes[-1]),
                selection,
                look,
                tuple(zip(rule.looks, hits, strict=False)),
                selected_from=selected_from,
            )
    raise RuntimeError(
        f"expected a decision at the last of the looks {rule.looks}, got none from {rule}"
    )


def _selection(
    rule: StoppingRule, n0: int
) -> Generator[VoteRequest, NDArray[np.int64], tuple[NDArray[np.int64], int]]:
    """The votes of each class that select one, and how many were drawn."""
    for drawn in rule.selection_sizes(n0):
        votes = yield VoteRequest("select", drawn)
        if rule.selects(votes[:-1]):
            break
    _some_finite(votes)  # of the last ones: 16 may all overflow where 100 do not
    return votes[:-1], drawn


def prediction(n: int, alpha: float) -> Procedure:
    """PREDICT for one image: the most frequent class, or ABSTAIN.

    It abstains unless a two-sided binomial test at alpha separates the two most frequent answers.
    Copies without finite logits count as an answer of their own, which is never predicted.
    ValueError where no copy has finite logits. Cohen et al. 2019, section 3.2.1.
    """
    votes = _some_finite((yield VoteRequest("predict", n)))
    label = int(votes[:-1].argmax())
    top, second = int(votes[label]), int(np.delete(votes, label).max())
    p_value = binomial_p_value(top, second) if top > second else 1.0
    return Outcome(
        label if p_value <= alpha else ABSTAIN,
        0.0,
        votes[:-1],
        int(votes[-1]),
        None,
        n,
        ((n, top),),
        p_value,
    )


def _some_finite(votes: NDArray[np.int64]) -> NDArray[np.int64]:
    """The votes; ValueError where no copy has finite logits.

    Then the network is broken, and not the image undecided.
    """
    if votes[:-1].any():
        return votes
    raise ValueError(
        "expected a largest finite logit from the base classifier, got NaN, +infinity or no finite "
        f"one for every one of {int(votes[-1])} noisy copies of an image; has training diverged, "
        "or does the network overflow in this precision?"
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class CertifyOptions(CertifySettings):
    """The options of one call of ``certify``: the settings, and the options of its images."""

    labels: Labels | None = None
    index: Labels | None = None
    progress: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.labels is not None:
            object.__setattr__(self, "labels", as_labels(self.labels))
            object.__setattr__(self, "target", "label")
        elif self.target == "label":
            raise ValueError("expected labels with target='label', got none; hand over labels=y")


@dataclass(frozen=True, kw_only=True, eq=False)
class PredictOptions(PredictSettings):
    """The options of one call of ``predict``: the settings, and the options of its images."""

    index: Labels | None = None
    progress: bool = False


@options_of(CertifyOptions)
def certify(g: SmoothedClassifier, x: Given, options: CertifyOptions) -> Certificates:
    """Certified labels and radii of images, each wrong with probability at most alpha.

        result = certify(g, x, n0=100, n=100_000, alpha=1e-3, seed=0)
        result.label, result.radius, result.norm      # (B,), (B,), "l2" for Gaussian noise

    The noise is that of g, and the radii are in its norm.

    x: images, floating in [0, 1] or uint8: a tensor (B, C, H, W); a numpy array, also (B, H, W, C)
        where only that end can hold channels; or a data set of any kind that ``fit`` takes. Integer
        arithmetic needs 8-bit images: multiples of 1/255.
    labels: classes (B,) that are certified instead of the predicted ones, without selection; a
        tensor, an array or a list.
    index: integers (B,) that identify the images in the noise; None derives them from the pixels,
        or takes those of a data set. So ``certify_dataset`` says the same.
        The result of an image depends on its index, the seed and the settings. It does not depend
        on the batch, its order or its size.
    progress: whether to show a bar.

    The other options are those of ``CertifySettings``. ValueError for images outside [0, 1] or
    between the 8-bit levels, for noise of scale 0, and for an n that can never certify at alpha.
    Cohen et al. 2019 (arXiv:1902.02918), algorithm CERTIFY and theorem 1.
    """
    check_smoothed(g)
    images, index = _images(g, x, options)
    labels = options.labels
    if labels is not None:
        labels = check_labels(labels, len(images), g.num_classes)
    ids = image_ids(images, index)
    source = noisy_images(options.arithmetic, g.noise, options.seed, images.shape[1:])
    rule = options.rule(g.noise, source.total_variation)
    forecast = options.expected_samples(len(images))
    pool = open_pool(g, source, images.shape[1:], options, forecast)

    def procedure(at: int) -> Procedure:
        return certification(rule, options.n0, None if labels is None else int(labels[at]))

    outcomes = _run(pool, images, ids, options.progress, procedure)
    numerics = pool.network.profile.record()
    said = {"model": model_section(g), **stated(options, source), "numerics": numerics}
    pixels = image_ids(images, None)
    return Certificates.of(outcomes, g.num_classes, said, pixels, None if index is None else ids)


@options_of(PredictOptions)
def predict(g: SmoothedClassifier, x: Given, options: PredictOptions) -> Predictions:
    """The classes that g gives to images, each other than g's with probability at most alpha.

        predict(g, x, n=1000, alpha=1e-3, seed=0).label      # (B,), ABSTAIN = -1

    Arguments and errors are those of ``certify``. The seed must be chosen before the images or any
    results are seen. Alpha does not hold for an answer picked among those of several seeds. Cohen
    et al. 2019 (arXiv:1902.02918), algorithm PREDICT.
    """
    check_smoothed(g)
    images, index = _images(g, x, options)
    ids = image_ids(images, index)
    source = noisy_images(options.arithmetic, g.noise, options.seed, images.shape[1:])
    pool = open_pool(g, source, images.shape[1:], options, options.expected_samples(len(images)))
    outcomes = _run(
        pool, images, ids, options.progress, lambda at: prediction(options.n, options.alpha)
    )
    return Predictions.of(outcomes, g.num_classes)


def _images(
    g: SmoothedClassifier, x: Given, options: CertifyOptions | PredictOptions
) -> tuple[Tensor, Labels | None]:
    """The images as they are stored, and what identifies them where that is known."""
    channels = channels_taken(g.base)
    images, own = given_images(x, g.num_classes, channels)
    index = own if options.index is None else options.index
    return stored_images(images, options.arithmetic, channels), index


def _run(
    pool: VotePool,
    images: Tensor,
    ids: Tensor,
    progress: bool,
    procedure: Callable[[int], Procedure],
) -> list[Outcome]:
    """The outcome of each image, in the order of the images."""
    outcomes: dict[int, Outcome] = {}
    tasks = (Task(at, int(ids[at]), images[at], procedure(at)) for at in range(len(images)))
    with ProgressBar(len(images), progress) as bar:
        for turn in drive(pool, tasks):
            outcomes.update({task.position: task.outcome for task in turn.finished})
            bar.update(len(turn.finished), turn.samples)
    return [outcomes[at] for at in range(len(images))]
