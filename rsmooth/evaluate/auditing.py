"""An audit of certificates: attacks on certified images, within their radius and beyond it.

Within the radius no attack may change the answer. Beyond it, the smallest successful attack shows
how tight the certificates are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import scipy
import torch
from numpy.typing import NDArray
from torch import Tensor

from rsmooth.attacks.base import Attack, check_untargeted
from rsmooth.attacks.pgd import SmoothAdvPGD
from rsmooth.attacks.view import quick_view
from rsmooth.certify.cohen import predict
from rsmooth.certify.proof.bounds import check_n
from rsmooth.certify.run.header import is_hash_of, model_hash
from rsmooth.certify.settings import Arithmetic, Precision
from rsmooth.certify.votes.images import image_ids, stored_images
from rsmooth.data.convert import Convertible, as_data, to_unit
from rsmooth.data.files import FolderData
from rsmooth.data.images import ImageData
from rsmooth.models.precision import Precision as SearchPrecision
from rsmooth.models.state import device_of
from rsmooth.plumbing.errors import remedy
from rsmooth.plumbing.numbers import check_integer, check_seed, check_sizes
from rsmooth.plumbing.progress import progress_bar
from rsmooth.records.log import ABSTAIN, CertificationLog
from rsmooth.records.noise import required_noise
from rsmooth.records.pixels import PIXELS, fingerprint
from rsmooth.records.statement import Statement
from rsmooth.records.upgrade import upgraded
from rsmooth.smoothed import SmoothedClassifier, check_smoothed

Floats = NDArray[np.float64]


@dataclass(frozen=True, repr=False, eq=False)
class Audit:
    """Attacks on N certified images, at F multiples of each image's certified radius.

        audit(g, splits.test, read_log("runs/a")).p_value

    idx, label (certified class), radius: (N,). factors (F,). distance (N, F): l2 norm of the
    perturbation after rounding to 8 bits. predicted (N, F): the answer of g there, or ABSTAIN.
    alpha: a bound on the probability that the certificate of an image, or one of its predictions,
    is wrong. attempted: the images of the log, with those that abstained; with a limit, those up to
    the last of these. None takes these alone.
    """

    idx: NDArray[np.int64]
    label: NDArray[np.int64]
    radius: Floats
    factors: Floats
    distance: Floats
    predicted: NDArray[np.int64]
    alpha: float
    attempted: int | None = None

    @property
    def changed(self) -> NDArray[np.bool_]:
        """Where g answers with another class (N, F)."""
        other = (self.predicted != self.label[:, None]) & (self.predicted != ABSTAIN)
        return np.asarray(other, dtype=np.bool_)

    @property
    def contradictions(self) -> NDArray[np.bool_]:
        """Images (N,) on which an attack within the certified radius changed the answer."""
        inside = self.changed & (self.distance < self.radius[:, None])
        return np.asarray(inside.any(axis=1), dtype=np.bool_)

    @property
    def p_value(self) -> float:
        """The probability of that many contradictions or more, if each statement keeps alpha.

        A false certificate has probability alpha of all images that were attempted. Of those with a
        certificate alone it may have any: where most abstain, most of the rest may be false.
        """
        fewer = int(self.contradictions.sum()) - 1
        images = len(self.idx) if self.attempted is None else self.attempted
        return float(scipy.stats.binom.sf(fewer, images, min(1.0, self.alpha)))

    @property
    def attacked_radius(self) -> Floats:
        """The smallest distance (N,) at which an attack changed the answer; infinity for none."""
        smallest: Floats = np.where(self.changed, self.distance, np.inf).min(axis=1, initial=np.inf)
        return smallest

    def __repr__(self) -> str:
        wrong = int(self.contradictions.sum())
        return (
            f"Audit({len(self.idx)} images, {wrong} contradicted; factors {self.factors.tolist()})"
        )

    def summary(self) -> str:
        """The audit in a few lines of text."""
        gap = self.attacked_radius / self.radius
        broken = np.isfinite(gap)
        multiples = ", ".join(f"{factor:g}" for factor in self.factors)
        lines = [
            f"{len(self.idx)} certified images attacked at {multiples} times their radius",
            f"contradicted certificates: {int(self.contradictions.sum())} (probability of that "
            f"many or more if each statement keeps its alpha: {self.p_value:.3g})",
            *(
                f"answer changed at {factor:g} x radius: {share:.1%}"
                for factor, share in zip(self.factors, self.changed.mean(axis=0), strict=True)
            ),
        ]
        if broken.any():
            lines.append(
                "smallest successful attack over certified radius, median: "
                f"{np.median(gap[broken]):.2f} ({int(broken.sum())} images)"
            )
        return "\n".join(lines)


def audit(
    g: SmoothedClassifier,
    data: ImageData | FolderData | Convertible,
    log: CertificationLog,
    *,
    factors: Sequence[float] = (0.5, 0.75, 1.0, 1.25, 1.5),
    steps: int = 20,
    attack: Attack | None = None,
    num_noise: int = 32,
    n: int = 1000,
    alpha: float = 1e-3,
    seed: int = 1,
    limit: int | None = None,
    precision: SearchPrecision = "auto",
    progress: bool = False,
) -> Audit:
    """Attack the certified images of ``log``, and predict the attacked images.

        audit(g, splits.test, read_log("runs/a"), factors=(0.5, 1.0, 1.5)).contradictions.sum()

    factors: epsilons of the attacks, as multiples of the certified radius. attack: of l2 norm; its
    epsilon is replaced. None is SmoothAdv-PGD with that many steps. num_noise: of the attack. n,
    alpha, seed: of the prediction at the attacked image; the seed must not be that of the
    certificates. limit: at most this many images, the first of the log; None for all.
    The attacked image is rounded to 8 bits, since certificates hold for such images, and its
    distance is measured after that. precision: of the search; the votes that judge it are in that
    of the certificates. ValueError for a log without certified images, without noise or
    alpha, of other images than ``data``, of another model, or of another norm than l2, for the seed
    of the certificates, and for an attack that is targeted or of another norm.
    """
    _check(g, log, factors, seed, limit)
    check_n(n, alpha)
    check_sizes(num_noise=num_noise)
    data = as_data(data, g.num_classes)
    attack = SmoothAdvPGD(epsilon=1.0, steps=steps) if attack is None else attack
    _check_attack(attack)
    check_images_of(log, data)
    certified = np.flatnonzero(log.radius > 0)[:limit]
    position = {int(idx): at for at, idx in enumerate(data.index.tolist())}
    view = quick_view(g, to_unit(data.batch([0])[0]).to(device_of(g)), precision)
    search = partial(
        _attack, view, num_noise=num_noise, generator=torch.Generator().manual_seed(seed)
    )
    answers = partial(_answers, g, log, n=n, alpha=alpha, seed=seed)
    distance, predicted = np.zeros((2, len(certified), len(factors)))
    with progress_bar(certified, shown=progress, unit="image", desc="audit") as bar:
        for row, at in enumerate(bar):
            x = to_unit(data.batch([position[int(log.idx[at])]])[0])
            sizes = [factor * float(log.radius[at]) for factor in factors]
            attacked = [
                search(x, int(log.predict[at]), replace(attack, epsilon=size)) for size in sizes
            ]
            distance[row] = [float((one.double() - x.double()).norm()) for one in attacked]
            predicted[row] = answers(torch.cat(attacked))
    total = float(log.provenance.get("alpha_spent", log.provenance["alpha"])) + alpha * len(factors)
    return Audit(
        log.idx[certified],
        log.predict[certified],
        log.radius[certified],
        np.array(factors, dtype=np.float64),
        distance,
        predicted.astype(np.int64),
        total,
        int(certified[-1]) + 1 if len(certified) < (log.radius > 0).sum() else len(log),
    )


def _answers(
    g: SmoothedClassifier, log: CertificationLog, x: Tensor, *, n: int, alpha: float, seed: int
) -> NDArray[np.int64]:
    """The answers of g (F,), which votes as it did for the certificates: these hold for that."""
    arithmetic: Arithmetic = upgraded(log.provenance)["noise"].get("arithmetic", "integer")
    executed: Precision = log.provenance.get("numerics", {}).get("dtype", "auto")
    found = predict(g, x, n=n, alpha=alpha, seed=seed, arithmetic=arithmetic, precision=executed)
    return found.label.numpy()


def _attack(
    g: SmoothedClassifier,
    x: Tensor,
    label: int,
    attack: Attack,
    *,
    num_noise: int,
    generator: torch.Generator,
) -> Tensor:
    device = device_of(g)
    x_adv = attack(
        g,
        x.to(device),
        torch.tensor([label], device=device),
        num_noise=num_noise,
        generator=generator,
    )
    return (x_adv.cpu() * 255).round() / 255


def _check(
    g: SmoothedClassifier,
    log: CertificationLog,
    factors: Sequence[float],
    seed: int,
    limit: int | None,
) -> None:
    check_smoothed(g)
    if not len(factors) or not all(factor > 0 for factor in factors):
        raise ValueError(f"expected factors > 0, got {list(factors)}; use e.g. 0.5, 1.0, 1.5")
    check_seed(seed)
    check_limit(limit)
    if not (log.radius > 0).any():
        raise ValueError(
            "expected a log with certified images, got none with a radius above 0; choose "
            "another log"
        )
    _check_statement(log)
    noise = required_noise(log.provenance)
    if noise != g.noise:
        raise ValueError(
            f"expected the model of the log, under {noise}, got {g.noise}; load the model that was "
            "certified"
        )
    check_model_of(log, g)
    if seed in log.provenance.get("seeds", [log.provenance.get("seed")]):
        raise ValueError(
            f"expected another seed than that of the certificates, got {seed}; the audit needs "
            "noise of its own, so choose another"
        )


def check_limit(limit: int | None) -> None:
    """ValueError for a largest number of images below 1; None is no limit."""
    if limit is not None and check_integer(limit, "limit", 100) < 1:
        raise ValueError(f"expected a limit of at least 1 image, or None for all, got {limit}")


def _check_attack(attack: Attack) -> None:
    """ValueError for an attack that says nothing of l2 certificates."""
    check_untargeted(attack)
    if attack.norm != "l2":
        raise ValueError(
            f"expected an attack of l2 norm, as the certificates are, got {attack!r} of "
            f"{attack.norm}; take one of l2, or give it the option norm"
        )


def check_model_of(
    log: CertificationLog, g: SmoothedClassifier, ensemble: str | None = None
) -> None:
    """ValueError unless the log is of g, or of the ensemble with this hash, where it says which."""
    own = model_hash(g) if ensemble is None else ensemble
    model = log.provenance.get("model", {})
    hashed = model.get("hash", own)
    fits = hashed == own if ensemble else is_hash_of(hashed, g)
    if not fits and "rule" in model:
        raise ValueError(
            f"expected the networks of the log, {', '.join(model.get('members', ()))}, in this "
            f"order and by the rule {model['rule']}, got others; "
            + remedy(
                "load those that were certified",
                f"name the further ones as they were certified, by --ensemble and --rule "
                f"{model['rule']}",
            )
        )
    if not fits:
        raise ValueError(
            f"expected the model of the log, {hashed}, got {own}, whose weights differ; load the "
            "model that was certified"
        )


def check_images_of(log: CertificationLog, data: ImageData | FolderData) -> None:
    """ValueError unless ``data`` has the images of the log.

    An attack on another image says nothing of a certificate, and would seem to contradict it. The
    fingerprint is that of all images, so of an unfinished log only idx and labels are compared.
    """
    wanted = set(log.idx.tolist())
    same = data.subset([at for at, idx in enumerate(data.index.tolist()) if idx in wanted])
    said = log.provenance.get("dataset")
    dataset = said if isinstance(said, Mapping) else {}
    recorded = dataset.get("fingerprint") if dataset.get("images") == len(log) else None
    if (
        len(same) < len(log)
        or (same.labels.cpu()[same.index.cpu().argsort()].numpy() != log.label).any()
        or (recorded is not None and recorded != same.fingerprint())
        or _named_otherwise(log, same)
    ):
        raise ValueError(
            f"expected the images of the log ({dataset.get('name', 'data set')} "
            f"{dataset.get('split', 'not recorded')}), got others ({data.name} {data.split}); give "
            "the data set and the split that were certified"
        )


def _named_otherwise(log: CertificationLog, data: ImageData | FolderData) -> bool:
    """Whether the record of a result in memory names other 8-bit images, as ``to_log`` does."""
    if PIXELS not in log.provenance or "noise" not in log.provenance:
        return False
    if upgraded(log.provenance)["noise"].get("arithmetic") != "integer":
        return False  # whose last bits depend on how the images were read
    images = data.batch(range(len(data)))[0]
    ids = image_ids(stored_images(images, "integer", images.shape[1]), None)
    return bool(log.provenance[PIXELS] != fingerprint(data.index.cpu().numpy(), ids.numpy()))


def _check_statement(log: CertificationLog) -> None:
    """ValueError unless the log holds probabilistic l2 certificates under a known noise."""
    if "alpha" not in log.provenance or "noise" not in upgraded(log.provenance):
        raise ValueError(
            "expected a log that records its noise and alpha, got a table without them; audit a "
            "run folder or a journal"
        )
    norm = Statement.of(log.provenance).norm
    if norm != "l2":
        # An attack within the l2 ball of radius r / sqrt(d) would stay inside, but could find
        # next to nothing: a clean audit would then say nothing of the certificates.
        raise ValueError(
            f"expected l2 certificates, since the attack searches an l2 ball, got {norm} radii; "
            "their distances cannot be compared, so audit a record under Gaussian noise"
        )
