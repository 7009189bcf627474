"""The smoothed classifier g of a base classifier: the one place where the noise lives."""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from rsmooth._version import __version__
from rsmooth.models.checkpoints import load_weights
from rsmooth.models.functions import NO_HASH, Function, FunctionClassifier
from rsmooth.models.hashing import is_base_hash
from rsmooth.models.hub_card import FORMAT
from rsmooth.models.safetensors import in_half
from rsmooth.models.saved import architecture_of, read_model, write_model
from rsmooth.models.state import dtype_of
from rsmooth.noise.distributions import Gaussian, NoiseDistribution, noise_of_record
from rsmooth.plumbing.numbers import check_integer, check_seed
from rsmooth.plumbing.paths import user_path
from rsmooth.plumbing.tensors import check_floating, check_generator
from rsmooth.registry import MODELS


@dataclass
class _Frozen:
    """The noise of a ``frozen_noise`` context; drawn, by the shape and place of an image."""

    seed: int
    num_noise: int
    drawn: dict[object, Tensor] = field(default_factory=dict)
    over: bool = False


class _ByThread(dict[int, _Frozen]):
    """The contexts of a classifier by thread. A copy is in them too, until they are over."""

    def __deepcopy__(self, memo: dict[int, Any]) -> _ByThread:
        return _ByThread(self)

    def __reduce__(self) -> tuple[type[_ByThread], tuple[()]]:
        return _ByThread, ()


class SmoothedClassifier(nn.Module):
    """A base classifier under noise: g(x) = argmax_c P(f(x + noise) = c).

        g = SmoothedClassifier(base, sigma=0.25, num_classes=10)
        g = SmoothedClassifier(base, noise=Uniform(0.5), num_classes=10)

    base: a module (N, C, H, W) -> logits (N, K) on images in [0, 1]; its normalisation, if any, is
        its own first layer.
    sigma: shorthand for noise=Gaussian(sigma); 0 makes g the base classifier.
    num_classes: K, at least 2.
    noise: the distribution of the noise, in [0, 1] pixel units.
    num_noise: how many noise samples ``forward`` averages over.

    Raises ValueError for values out of range, and unless just one of sigma and noise is given.
    Cohen et al. 2019 (arXiv:1902.02918), section 3. The soft version G that ``forward`` returns is
    that of Salman et al. 2019 (arXiv:1906.04584), section 2.
    """

    def __init__(
        self,
        base: nn.Module,
        sigma: float | None = None,
        num_classes: int | None = None,
        *,
        noise: NoiseDistribution | None = None,
        num_noise: int = 16,
    ) -> None:
        super().__init__()
        if num_classes is None or check_integer(num_classes, "num_classes", 10) < 2:
            raise ValueError(f"expected num_classes >= 2, got {num_classes}; e.g. num_classes=10")
        if not isinstance(base, nn.Module):
            raise TypeError(f"expected the base classifier as a torch.nn.Module, got {base!r}")
        self.base = base
        self.noise = _one_noise(sigma, noise)
        self.num_classes = int(num_classes)
        self.num_noise = _check_num_noise(num_noise)
        self._frozen = _ByThread()

    @property
    def sigma(self) -> float:
        """The standard deviation of Gaussian noise; ValueError where the noise is another."""
        if not isinstance(self.noise, Gaussian):
            raise ValueError(
                f"expected Gaussian noise where sigma is asked for, got {self.noise}; read g.noise"
            )
        return self.noise.sigma

    @classmethod
    def from_function(
        cls,
        function: Function,
        sigma: float | None = None,
        num_classes: int | None = None,
        *,
        noise: NoiseDistribution | None = None,
        name: str | None = None,
        sha256: str = NO_HASH,
    ) -> SmoothedClassifier:
        """The smoothed classifier of a function of numpy arrays, of whatever framework.

            g = SmoothedClassifier.from_function(answer, sigma=0.25, num_classes=10)
            certify(g, x, n=10_000)

        function: images (B, C, H, W), float32 -> classes (B,) or scores (B, K); it, name and sha256
            are those of ``rsmooth.models.FunctionClassifier``.

        It can be certified, and asked for predictions; not attacked by gradients, trained or saved.
        Errors are those of the class.
        """
        if num_classes is None:
            raise ValueError("expected num_classes >= 2, got None; e.g. num_classes=10")
        base = FunctionClassifier(function, num_classes, name=name, sha256=sha256)
        return cls(base, sigma, num_classes, noise=noise).eval()

    def around(self, base: nn.Module) -> SmoothedClassifier:
        """The smoothed classifier of another base, otherwise like this one."""
        return SmoothedClassifier(
            base, num_classes=self.num_classes, noise=self.noise, num_noise=self.num_noise
        )

    def sample_noise(self, x: Tensor, m: int, generator: torch.Generator | None = None) -> Tensor:
        """Noise for m copies of each image, never clamped: (B, C, H, W) -> (B, m, C, H, W).

            noise = g.sample_noise(x, 64, torch.Generator().manual_seed(0))

        generator: what draws it, on its own device; None is torch's own. TypeError for anything
            else, such as a seed.

        ValueError for images that are no floating-point numbers.
        """
        check_floating(x, "images (B, C, H, W)")
        check_generator(generator)
        device = generator.device if generator is not None else x.device
        empty = torch.empty((x.shape[0], m, *x.shape[1:]), device=device, dtype=x.dtype)
        drawn: Tensor = self.noise.fill(empty, generator)
        return drawn.to(x.device)

    def log_probs(self, points: Tensor) -> Tensor:
        """Log-softmax of the base classifier at points: (B, m, C, H, W) -> (B, m, K).

            log_probs = g.log_probs(x.unsqueeze(1) + noise)

        Points of another floating-point type than the base's parameters are converted to theirs.
        The result is at least float32. ValueError if the base answers another number of classes,
        TypeError if it does not answer with a tensor.
        """
        flat = points.flatten(0, 1)
        flat = flat.to(dtype_of(self.base, flat.dtype))
        logits = check_logits(self.base(flat), len(flat), self.num_classes)
        if logits.dtype not in (torch.float32, torch.float64):
            logits = logits.float()
        return logits.log_softmax(dim=1).reshape(*points.shape[:2], self.num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Give log G(x), the log of the mean softmax over num_noise copies: (B, C, H, W) -> (B, K).

            F.cross_entropy(g(x), y)    # the SmoothAdv loss

        So every cross-entropy attack of every library is a SmoothAdv attack on this module. The
        noise is fresh in every call, unless within ``frozen_noise``.
        """
        frozen = self.frozen_sample(x)
        noise = self.sample_noise(x, self.num_noise) if frozen is None else frozen
        log_probs = self.log_probs(x.unsqueeze(1) + noise)
        return log_probs.logsumexp(dim=1) - math.log(noise.shape[1])

    @contextmanager
    def frozen_noise(self, seed: int, num_noise: int | None = None) -> Iterator[SmoothedClassifier]:
        """A context in which ``forward`` is one deterministic function, for an outside attack.

            with g.frozen_noise(seed=0, num_noise=8):
                logits = g(x)

        num_noise: replaces the module's own within the context. ValueError below 1, and for a seed
            that is no integer.

        All images share one noise tensor (num_noise, C, H, W), drawn from ``seed``. So an image has
        the same noise in any batch and order, to the bit, and its answer is the same up to the
        rounding of the base classifier, whose kernels may depend on the size of a batch. (Images of
        another dtype or shape have other noise.) Our own attacks attack this function too, unless
        they are given noise or another num_noise.

        The context is that of the calling thread. Others that use g see fresh noise, or their own.
        Contexts nest. What holds for frozen noise need not hold for g: see docs/threat-model.md.
        """
        copies = self.num_noise if num_noise is None else _check_num_noise(num_noise)
        thread = threading.get_ident()
        before = self._frozen.get(thread)
        context = self._frozen[thread] = _Frozen(check_seed(seed), copies)
        try:
            yield self
        finally:
            context.over = True
            del self._frozen[thread]
            if before is not None:
                self._frozen[thread] = before

    def frozen_sample(self, x: Tensor) -> Tensor | None:
        """The noise that images (B, C, H, W) share within ``frozen_noise``: (B, m, C, H, W).

            with g.frozen_noise(seed=0, num_noise=8):
                noise = g.frozen_sample(x)

        None outside of such a context of this thread.
        """
        if not self._frozen:
            return None
        frozen = self._frozen.get(threading.get_ident())
        if frozen is None or frozen.over:
            return None
        place = (tuple(x.shape[1:]), x.dtype, x.device)
        if place not in frozen.drawn:
            generator = torch.Generator(device="cpu").manual_seed(frozen.seed)
            image = torch.empty((1, *x.shape[1:]), dtype=x.dtype, device="cpu")
            with torch.inference_mode(False):
                drawn = self.sample_noise(image, frozen.num_noise, generator)
                frozen.drawn[place] = drawn.to(x.device)
        return frozen.drawn[place].expand(len(x), *[-1] * x.ndim)

    def extra_repr(self) -> str:
        return f"noise={self.noise!r}, num_classes={self.num_classes}, num_noise={self.num_noise}"

    def save(
        self,
        path: str | os.PathLike[str],
        *,
        half: bool = False,
        certified: Sequence[Mapping[str, Any]] | None = None,
        **extra: Any,
    ) -> None:
        """Write noise, architecture, normalisation and weights to one file, whole or not at all.

            g.save("model.pt")
            g.save("small.safetensors", half=True)
            g.save("folder/", certified=[certified_card(log, g)])     # as the Hub takes it

        path: a name in .safetensors makes such a file. One that ends in a slash, or a folder that
            is there, makes model.safetensors, config.json and README.md in it. Any other name makes
            a file of torch.save.
        half: round matrices and kernels to float16, which halves the file. That is another
            classifier: certify what ``load`` reads.
        certified: what ``rsmooth.certify.certified_card`` says of records of this very classifier.
        extra: further plain values to keep beside them.

        ValueError for a base that is not from ``MODELS.create``, which notes the architecture, for
        certificates of another classifier, and for a folder with such files of others.
        """
        architecture = architecture_of(self.base)
        content = {
            "format": FORMAT,
            "version": __version__,
            "noise": self.noise.record(),
            "num_classes": self.num_classes,
            "num_noise": self.num_noise,
            "architecture": architecture,
            "extra": extra,
        }
        if certified is not None:
            content["certified"] = self._own(certified, half=half)
        if getattr(self.base, "origin", None) is not None:
            content["origin"] = self.base.origin
        if isinstance(self.noise, Gaussian):  # what earlier versions look for
            content["sigma"] = self.noise.sigma
        weights = self.base.state_dict()
        write_model(path, in_half(weights) if half else weights, content)

    def _own(self, certified: Sequence[Mapping[str, Any]], *, half: bool) -> list[dict[str, Any]]:
        """Cards of certificates; ValueError where they are not of what is saved."""
        rounded = " before it is rounded (half=True)" if half else ""
        for entry in certified:
            if half or not is_base_hash(entry.get("model_hash"), self.base):
                raise ValueError(
                    "expected certificates of the classifier that is saved, got those of "
                    f"{entry.get('model_hash')}{rounded}; load what was saved, certify that, and "
                    "save it again with them"
                )
        return [dict(entry) for entry in certified]

    @classmethod
    def load(
        cls, path: str | os.PathLike[str], *, map_location: str | torch.device = "cpu"
    ) -> SmoothedClassifier:
        """Read a file or a folder that ``save`` wrote.

            g = SmoothedClassifier.load("model.pt", map_location="cuda")
            g = SmoothedClassifier.load(huggingface_hub.snapshot_download("USER/NAME"))

        map_location: the device of the classifier, which is in eval mode. ValueError for a file of
        another kind, or weights that do not fit. RecordError for a folder whose files do not
        belong together.
        """
        path = user_path(path)
        content = read_model(path)
        try:
            with torch.inference_mode(False):  # whose tensors could not be attacked or trained
                g = cls._of_content(content, str(path))
        except Exception as error:  # entries of other types fail in a dozen ways
            if str(path) in str(error):
                raise
            raise ValueError(
                f"expected a model written by SmoothedClassifier.save, got {path}, whose entries "
                f"do not make one ({type(error).__name__}: {error}); write it again, or install "
                "the package that its architecture is from"
            ) from error
        with torch.inference_mode(False):
            return g.to(map_location)  # torch says itself why a device is not there

    @classmethod
    def _of_content(cls, content: Mapping[str, Any], source: str) -> SmoothedClassifier:
        architecture = content["architecture"]
        base = MODELS.create(architecture["name"], **architecture["options"])
        load_weights(base, content["state_dict"], source=source)
        if "origin" in content:
            base.origin = content["origin"]
        g = cls(
            base,
            num_classes=content["num_classes"],
            noise=noise_of_record(content["noise"]),
            num_noise=content["num_noise"],
        )
        return g.eval()


def _check_num_noise(num_noise: int) -> int:
    count = check_integer(num_noise, "num_noise", 16)
    if count < 1:
        raise ValueError(f"expected num_noise >= 1, got {count}")
    return count


def check_logits(answer: Any, count: int, num_classes: int) -> Tensor:
    """The answer of a base classifier to ``count`` images, which must be logits (count, K).

        logits = check_logits(base(images), len(images), num_classes=10)

    It looks at type and shape alone, so no device is waited for. ValueError for an answer of
    another shape. TypeError for anything but a tensor of numbers, with how to return one.
    """
    wanted = f"({count}, {num_classes})"
    if not isinstance(answer, Tensor):
        raise TypeError(
            f"expected a tensor of logits {wanted} from the base classifier, got "
            f"{type(answer).__name__}; {_as_tensor(answer)}"
        )
    if answer.dtype == torch.bool or answer.is_complex():
        raise TypeError(
            f"expected logits {wanted} as real numbers from the base classifier, got "
            f"{answer.dtype}; return what the last layer gives"
        )
    if tuple(answer.shape) != (count, num_classes):
        raise ValueError(
            f"expected logits {wanted} from the base classifier, got {tuple(answer.shape)}; "
            "check num_classes, and that it answers each image with one row"
        )
    return answer


def _as_tensor(answer: Any) -> str:
    """How a module that gives this answer returns a tensor."""
    if answer is None:
        return "let its forward return the logits"
    if type(answer).__module__ == "numpy":
        return "wrap it in a module that returns torch.as_tensor(answer)"
    if hasattr(answer, "logits"):
        return "wrap it in a module that returns answer.logits"
    if isinstance(answer, Mapping):
        names = list(answer)[:5]
        chosen = "logits" if "logits" in answer or not names else names[0]
        return f"wrap it in a module that returns one entry, such as answer[{chosen!r}] of {names}"
    if isinstance(answer, (tuple, list)):
        return "wrap it in a module that returns its logits alone, such as answer[0]"
    return "wrap it in a module that returns its logits alone"


def check_smoothed(g: object) -> None:
    """TypeError for anything but a smoothed classifier, such as its base."""
    if not isinstance(g, SmoothedClassifier):
        raise TypeError(
            f"expected a SmoothedClassifier, got {type(g).__name__}; wrap a base classifier as "
            "SmoothedClassifier(base, sigma=0.25, num_classes=10)"
        )


def _one_noise(sigma: float | None, noise: NoiseDistribution | None) -> NoiseDistribution:
    if noise is not None and not isinstance(noise, NoiseDistribution):
        raise TypeError(
            f"expected the noise as a distribution, got {noise!r}; give it e.g. as Gaussian(0.25)"
        )
    if sigma is None and noise is not None:
        return noise
    if sigma is not None and noise is None:
        return Gaussian(sigma)
    raise ValueError(
        f"expected either sigma or noise, got sigma={sigma} and noise={noise}; "
        "sigma=0.25 is short for noise=Gaussian(0.25)"
    )
