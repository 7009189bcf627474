"""The Trainer: a recipe that can be carried out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike

from torch import Tensor

from rsmooth.plumbing.paths import user_path
from rsmooth.smoothed import SmoothedClassifier
from rsmooth.training.guards import TrainingCollapsed as TrainingCollapsed
from rsmooth.training.loop import Callback, OnEpoch
from rsmooth.training.metrics import History as History
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
        on_epoch: OnEpoch | None = None,
    ) -> History:
        """Train the base classifier of g in place, on its device, and leave it in eval mode.

            history = Trainer(epochs=10).fit(g, data.train, validation=data.validation)

        train_data: ImageData, FolderData, a pair of tensors (x, y) or a data set of such pairs; x
            is uint8 or in [0, 1]. A data set with random transforms is read anew for every epoch;
            what they draw from torch, numpy and ``random`` follows from the seed.
        validation: images for the noisy accuracy after each epoch, by which ``best.pt`` is chosen.
        unlabelled: pseudo-labelled images, whose batches alternate with the labelled ones.
        extras: further columns of the training images by name, each (N, ...) in their order. The
            method finds them in ``batch.extras``.
        run_dir: folder for checkpoint.pt, metrics.jsonl, model.pt and best.pt. If it holds a
            checkpoint of this configuration, the run goes on from there.
        resume: False starts anew, whatever the folder holds; with the first file that is written
            the models of an earlier run are removed.
        progress: whether a progress bar is shown.
        callback: called after every optimiser step with (epoch, step); an error in it ends the run.
        on_epoch: called after every epoch with its metrics, a dict as in metrics.jsonl. If it
            returns True, training ends there: model.pt is written, and the same call without it
            would go on from the checkpoint. An error in it ends the run, after the checkpoint.

        Returns the metrics of each epoch. Those of the last one have a "remark" where a schedule is
        longer than the training, such as a warm-up of epsilon. TrainingCollapsed where the loss is
        not finite, or the classifier has come to answer one class only. RecordError for a
        checkpoint that is damaged, or of another configuration. LockedError where another process
        trains into the folder. Under torchrun every process calls this and takes its share of each
        batch.
        """
        wanted = Wanted(
            train_data,
            validation,
            unlabelled,
            extras,
            None if run_dir is None else user_path(run_dir),
            resume,
            progress,
            callback,
            on_epoch,
        )
        return train(self, g, wanted)
