"""Options that verbs share, with their help: which model, which images, how to predict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from rsmooth.config.environment import expanded
from rsmooth.config.images import choose_images
from rsmooth.config.specs import Spec
from rsmooth.plumbing.paths import user_path

if TYPE_CHECKING:
    from rsmooth.data.files import FolderData
    from rsmooth.data.images import ImageData
    from rsmooth.smoothed import SmoothedClassifier

Weights = Literal["last", "best"]
Split = Literal["test", "validation", "train"]
Rule = Literal["voting", "mean", "cascade", "published-cascade-not-sound"]


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """A model that rsmooth trained.

    source: a run folder, a model file that rsmooth saved, or the name of a model that comes with
        rsmooth (see rsmooth list models)
    weights: of the run folder
    device: cpu, cuda, or auto
    """

    source: Path | None = None
    weights: Weights = "last"
    device: str = "auto"

    def load(self, shape: tuple[int, ...]) -> SmoothedClassifier:
        """The smoothed classifier on its device, for images (C, H, W)."""
        from rsmooth.cli.models import load_own

        return load_own(self.source, self.weights, self.device, shape)

    def others(self, sources: Sequence[str], shape: tuple[int, ...]) -> list[SmoothedClassifier]:
        """Further models of ours, with the same weights and on the same device."""
        from rsmooth.cli.models import load_own

        return [load_own(user_path(source), self.weights, self.device, shape) for source in sources]


@dataclass(frozen=True, kw_only=True)
class ModelOptions(RunOptions):
    """A model that rsmooth trained, a published checkpoint, or a registered model with weights.

    model: a registered model that brings its weights, in place of a run folder, e.g.
        efficientnet-lite0 with --model.pretrained true (see rsmooth list models)
    checkpoint: a published checkpoint.pth.tar, in place of a run folder
    arch: architecture of the checkpoint, where the file names none (see rsmooth list models)
    normalize: normalisation of the checkpoint, where the file does not hold it: cifar10,
        cifar10-center, imagenet, imagenet-center, none, the name of another data set, or means and
        deviations of your own, such as 0.49,0.48,0.45:0.20,0.20,0.20
    sigma: standard deviation of the Gaussian noise that smooths the checkpoint or model
    noise: other noise that smooths it, e.g. uniform with --noise.half_width 0.5 (see
        rsmooth list noises)
    """

    model: Spec | None = None
    checkpoint: Path | None = None
    arch: str | None = None
    normalize: str | None = None
    sigma: float | None = None
    noise: Spec | None = None

    def load(self, shape: tuple[int, ...]) -> SmoothedClassifier:
        """The smoothed classifier on its device, for images (C, H, W)."""
        from rsmooth.cli.models import load_built, load_published

        if self.checkpoint is None and self.model is None:
            self._check_own()
            return super().load(shape)
        self._check_published()
        if self.model is not None:
            return load_built(self.model, self.sigma, self.noise, self.device, shape)
        assert self.checkpoint is not None
        return load_published(
            user_path(expanded(str(self.checkpoint), "this command", "--checkpoint")),
            self.normalize or "unknown",
            self.sigma,
            self.noise,
            self.device,
            shape,
            self.arch,
        )

    def _check_own(self) -> None:
        given = [
            name
            for name in ("arch", "normalize", "sigma", "noise")
            if getattr(self, name) is not None
        ]
        if given and self.source is not None:
            raise ValueError(
                f"expected --{' and --'.join(given)} with --checkpoint or --model only, got it "
                f"with {self.source}; a trained model has its own"
            )

    def _check_published(self) -> None:
        given = {"--checkpoint": self.checkpoint, "--model": self.model}
        named = [option for option, value in given.items() if value is not None]
        if self.source is not None or len(named) > 1:
            raise ValueError(
                "expected either a run folder (or model file) or --checkpoint or --model, got "
                f"{'both' if len(named) == 1 else ' and '.join(named)}; name one of them"
            )
        if self.model is not None and (self.arch or self.normalize):
            raise ValueError(
                "expected --arch and --normalize with --checkpoint only, got them with --model; "
                "give options of the model as --model.OPTION"
            )
        if (self.sigma is None) == (self.noise is None):
            raise ValueError(
                f"expected --sigma or --noise beside {named[0]}, since such a file does not hold "
                f"the noise, got sigma={self.sigma} and noise={self.noise}; e.g. --sigma 0.25 "
                "(and --normalize cifar10 where a checkpoint holds no constants either), or for "
                "other noise --noise uniform --noise.half_width 0.5"
            )


@dataclass(frozen=True, kw_only=True)
class DataOptions:
    """Images of a data set.

    dataset: the data set; default: the one that the run was trained on
    split: the part of the data set
    skip: take images 0, skip, 2*skip, ... (published logs: 20 for CIFAR-10, 100 for ImageNet)
    max: take at most this many images
    """

    dataset: Spec | None = None
    split: Split = "test"
    skip: int = 1
    max: int | None = None

    def choose(
        self, source: Path | None, only: Sequence[int] | None = None
    ) -> ImageData | FolderData:
        """The chosen images. source: a run folder that may name the data set; only: indices."""
        return choose_images(
            self.dataset, source, split=self.split, skip=self.skip, limit=self.max, only=only
        )


@dataclass(frozen=True, kw_only=True)
class PredictionOptions:
    """The options of a prediction of g (PREDICT of Cohen et al. 2019).

    n: noise samples per prediction
    alpha: failure probability of each prediction
    """

    n: int = 1000
    alpha: float = 0.001


@dataclass(frozen=True, kw_only=True)
class LinfOptions:
    """Deterministic certificates of networks without noise.

    norm: linf proves certificates by bounds of the network, without noise; only for models of
        sigma 0
    epsilons: the linf radii to prove, e.g. 1/255,2/255,8/255
    bounds: the methods, cheap ones first, of ibp, crown-ibp, crown and fast-lin; default: ibp,
        crown-ibp and, where the network is small enough, fast-lin
    clip: cut the box of perturbations at pixel values of 0 and 1
    ensemble: further run folders or model files, whose networks decide together with the first
    rule: how they do; mean is that of logits
    """

    norm: Literal["linf"] | None = None
    epsilons: Sequence[float] | None = None
    bounds: Sequence[str] | None = None
    clip: bool = True
    ensemble: Sequence[str] | None = None
    rule: Rule | None = None

    def asked(self) -> bool:
        """Whether deterministic certificates are asked for; ValueError for half of the options."""
        if self.norm is None and self == LinfOptions():
            return False
        if self.norm is None or not self.epsilons:
            raise ValueError(
                "expected --norm linf and --epsilons beside each other for deterministic "
                f"certificates, got norm={self.norm}, epsilons={self.epsilons}, "
                f"bounds={self.bounds}, clip={self.clip}, ensemble={self.ensemble} and "
                f"rule={self.rule}; e.g. --norm linf --epsilons 1/255,2/255"
            )
        if self.norm != "linf":
            raise ValueError(
                f"expected --norm linf, got {self.norm}; leave --norm out for certificates of a "
                "smoothed classifier, whose norm is that of its noise"
            )
        check_ensemble(self.ensemble, self.rule)
        return True


def check_ensemble(ensemble: Sequence[str] | None, rule: str | None) -> None:
    """ValueError unless further members and their rule are given together, or neither."""
    if bool(ensemble) != (rule is not None):
        raise ValueError(
            "expected --ensemble and --rule beside each other, got "
            f"ensemble={ensemble} and rule={rule}; e.g. --ensemble runs/b,runs/c --rule voting"
        )
