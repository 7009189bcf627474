"""What lies between a proof and an attack: certified <= true <= attacked accuracy.

Deterministic certificates say at which epsilons an answer cannot be changed; an attack shows at
which it can. The truth of every image lies between the two.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rsmooth.attacks.pgd import PGD
from rsmooth.data.convert import Convertible, as_data, to_unit
from rsmooth.data.files import FolderData
from rsmooth.data.images import ImageData
from rsmooth.evaluate.auditing import check_images_of, check_limit, check_model_of
from rsmooth.models.state import device_of
from rsmooth.plumbing.numbers import check_integer, check_seed
from rsmooth.plumbing.progress import progress_bar
from rsmooth.records.log import CertificationLog
from rsmooth.smoothed import SmoothedClassifier

Floats = NDArray[np.float64]


@dataclass(frozen=True, repr=False, eq=False)
class Bracket:
    """N images: what is proved of them, and what an attack could change.

        found = bracket(g, Prover(g.base).predict, splits.test, read_log("runs/ibp"))
        found.certified <= found.under_attack           # (E,)

    idx, label, predict, radius: (N,), as in the log. epsilons: (E,), those that were attacked.
    attacked: (N,), the smallest of the epsilons at which the answer changed, infinity for none.
    """

    idx: NDArray[np.int64]
    label: NDArray[np.int64]
    predict: NDArray[np.int64]
    radius: Floats
    epsilons: Floats
    attacked: Floats

    @property
    def contradictions(self) -> NDArray[np.bool_]:
        """Images (N,) whose answer changed within the proved radius: proofs that are false."""
        return np.asarray(self.attacked <= self.radius, dtype=np.bool_)

    @property
    def certified(self) -> Floats:
        """Certified accuracy (E,) at the epsilons: at most the true one."""
        return self._share(self.radius[:, None] >= self.epsilons)

    @property
    def under_attack(self) -> Floats:
        """Accuracy (E,) under the attack: at least the true one."""
        return self._share(self.attacked[:, None] > self.epsilons)

    def __repr__(self) -> str:
        wrong, tried = int(self.contradictions.sum()), self.epsilons.tolist()
        return f"Bracket({len(self.idx)} images, {wrong} contradicted; epsilons {tried})"

    def summary(self) -> str:
        """The two sides at each epsilon, in a few lines of text."""
        lines = [
            f"{len(self.idx)} images attacked at {len(self.epsilons)} epsilons",
            f"contradicted certificates: {int(self.contradictions.sum())}",
            f"{'epsilon':>8} {'certified %':>11} <= true <= {'attacked %':>10}",
        ]
        rows = zip(self.epsilons, self.certified, self.under_attack, strict=True)
        lines += [f"{e:8.4g} {100 * low:11.1f} {'':12}{100 * high:10.1f}" for e, low, high in rows]
        return "\n".join(lines)

    def _share(self, kept: NDArray[np.bool_]) -> Floats:
        right = (self.label == self.predict)[:, None] & kept
        return np.asarray(right.mean(axis=0), dtype=np.float64)


def bracket(
    g: SmoothedClassifier,
    predict: Callable[[Tensor], Tensor],
    data: ImageData | FolderData | Convertible,
    log: CertificationLog,
    *,
    ensemble: str | None = None,
    steps: int = 20,
    restarts: int = 1,
    seed: int = 1,
    limit: int | None = None,
    batch_size: int = 64,
    progress: bool = False,
) -> Bracket:
    """Attack the images of a deterministic l_inf record at its epsilons, by PGD.

        bracket(g, Prover(g.base).predict, splits.test, read_log("runs/ibp")).summary()

    g: the classifier of the record, without noise; its gradients lead the attack.
    predict: images (B, C, H, W) -> classes (B,), what the record is about, in float64.
    ensemble: the hash of the ensemble that answers, where that is not g alone.
    steps: of PGD, which starts at the image; restarts: further ones, from random points of the box.
    limit: at most this many images, the first of the log.

    Images that are wrong and not certified are not attacked. ValueError for a record of another
    norm or kind, other images than ``data``, another model, and options out of range.
    """
    for name, value, least in (
        ("steps", steps, 1),
        ("batch_size", batch_size, 1),
        ("restarts", restarts, 0),
    ):
        if check_integer(value, name, 1) < least:
            raise ValueError(f"expected {name} >= {least}, got {value}")
    check_limit(limit)
    epsilons = np.array(_epsilons_of(log), dtype=np.float64)
    check_model_of(log, g, ensemble)
    data = as_data(data, g.num_classes)
    check_images_of(log, data)
    position = {int(idx): at for at, idx in enumerate(data.index.tolist())}
    count = len(log) if limit is None else min(limit, len(log))
    attacked = np.full(count, np.inf)
    worthwhile = np.flatnonzero((log.correct | (log.radius > 0))[:count])
    generator = torch.Generator().manual_seed(check_seed(seed))
    starts = range(0, len(worthwhile), batch_size)
    with progress_bar(shown=progress, total=len(worthwhile), unit="image", desc="audit") as bar:
        for start in starts:
            rows = worthwhile[start : start + batch_size]
            x = to_unit(data.batch([position[int(idx)] for idx in log.idx[rows]])[0])
            y = torch.as_tensor(log.predict[rows], device="cpu")
            attacked[rows] = _smallest(g, predict, x, y, epsilons, steps, restarts, generator)
            bar.update(len(rows))
    return Bracket(
        log.idx[:count],
        log.label[:count],
        log.predict[:count],
        log.radius[:count],
        epsilons,
        attacked,
    )


def _smallest(
    g: SmoothedClassifier,
    predict: Callable[[Tensor], Tensor],
    x: Tensor,
    y: Tensor,
    epsilons: Floats,
    steps: int,
    restarts: int,
    generator: torch.Generator,
) -> Floats:
    """The smallest epsilon (B,) at which the answer of each image changes."""
    found = np.full(len(x), np.inf)
    for epsilon in epsilons.tolist():
        for attempt in range(1 + restarts):
            left = np.flatnonzero(~np.isfinite(found))
            if not len(left):
                return found
            attack = PGD(epsilon=epsilon, steps=steps, norm="linf", random_start=attempt > 0)
            near = _attacked(g, attack, x[left], y[left], generator)
            found[left[(predict(near).cpu() != y[left]).numpy()]] = epsilon
    return found


def _attacked(
    g: SmoothedClassifier, attack: PGD, x: Tensor, y: Tensor, generator: torch.Generator
) -> Tensor:
    """Attacked images in float64, exactly within epsilon of x, and up to it.

    The search is over float64 too: in float32 it would end some bits before epsilon.
    """
    device, plain, epsilon = device_of(g), x.double(), attack.epsilon
    near = attack(g, plain.to(device), y.to(device), num_noise=1, generator=generator).cpu()
    near = torch.maximum(torch.minimum(near, plain + epsilon), plain - epsilon).clamp(0.0, 1.0)
    # A sum of two float64 is rounded. Where that is outward, the pixel goes one float back.
    return torch.where((near - plain).abs() < epsilon, near, near.nextafter(plain))


def _epsilons_of(log: CertificationLog) -> Sequence[float]:
    if log.statement.group != ("linf", "deterministic") or not log.provenance.get("epsilons"):
        raise ValueError(
            "expected a record of deterministic linf certificates that names its epsilons, got "
            f"{log.statement} {log.statement.norm} certificates; make one with rsmooth certify "
            "--norm linf"
        )
    return [float(epsilon) for epsilon in log.provenance["epsilons"]]
