"""The Trainer: a recipe that can be carried out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike

from torch import Tensor

from rsmooth.smoothed import SmoothedClassifier
from rsmooth.training.guards import TrainingCollapsed as TrainingCollapsed
from rsmooth.training.loop import Callback
from rsmooth.training.loop import History as History
from rsmooth.training.recipe import Recipe, TrainingData
from rsmooth.training.setup import Wanted, train
from rsmooth.training.sources import PseudoLabels as PseudoLabels


@dataclass(frozen=True, kw_only=True)
class Trainer(Recipe):
    __doc__ = Recipe.__doc__

    def fit(
        self,
        g: SmoothedClassifier,
        train_data: TrainingData,
        *,
        validation: TrainingData | None = None,
        unlabelled: PseudoLabels | None = None,
        extras: Mapping[str, Tensor] | None = None,
        run_dir: str | PathLike[str] | None = None,
        resume: bool = True,
        progress: bool = True,
        callback: Callback | None = None,
    ) -> History:
        """Train g's base classifier in place, on the device it lies on, and leave it in eval mode.

            history = Trainer(epochs=10).fit(g, data.train, validation=data.validation)

        train_data: ImageData, FolderData, a pair of tensors (x, y) or a data set of such pairs; x
            uint8 or in [0, 1].
        validation: images for the noisy accuracy after each epoch, by which ``best.pt`` is chosen.
        unlabelled: pseudo-labelled images whose batches alternate with the labelled ones.
        extras: further columns of the training images by name, each (N, ...) in their order, which
            the method finds in ``batch.extras``.
        run_dir: folder for checkpoint.pt, metrics.jsonl, model.pt and best.pt. If it holds a
            checkpoint of this very configuration the run goes on from there (resume=False starts
            anew); of another one, or a damaged one: RecordError. Where another process is training
            into it: LockedError, after a few seconds of waiting.
        callback: called after every optimiser step with (epoch, step); raising ends the run.

        Returns the metrics of each epoch. Raises TrainingCollapsed when the loss is not finite or
        the classifier has come to answer one class only. Under torchrun every process calls this
        and takes its share of each batch.
        """
        wanted = Wanted(
            train_data, validation, unlabelled, extras, run_dir, resume, progress, callback
        )
        return train(self, g, wanted)
