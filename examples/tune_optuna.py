"""Optuna: search the attack of SmoothAdv, and prune trials that fall behind.

pip install optuna. The score is the certified accuracy on validation images, never on test images.
"""

import optuna
import torch

from rsmooth import MODELS, SmoothAdvPGD, SmoothedClassifier, Trainer, certify, load_dataset

data = load_dataset("digits")
x, y = data.validation.batch(range(50))


def objective(trial: optuna.Trial) -> float:
    torch.manual_seed(0)  # every trial starts from the same weights
    g = SmoothedClassifier(MODELS.create("mlp", num_classes=10, image_size=8), 0.25, 10)
    attack = SmoothAdvPGD(epsilon=trial.suggest_float("epsilon", 0.1, 1.0), steps=2)

    def on_epoch(row: dict) -> bool:
        trial.report(row["validation_accuracy"], step=row["epoch"])
        return trial.should_prune()  # True ends the training

    options = {"validation": data.validation, "progress": False, "on_epoch": on_epoch}
    history = Trainer(attack=attack, epochs=4).fit(g, data.train, **options)
    if len(history) < 4:
        raise optuna.TrialPruned
    return float(certify(g, x, n0=100, n=1000).accuracy(y, radii=[0.5])[0])


study = optuna.create_study(
    direction="maximize",
    sampler=optuna.samplers.TPESampler(seed=0),
    pruner=optuna.pruners.MedianPruner(n_startup_trials=2),
)
study.optimize(objective, n_trials=6)
print("best:", study.best_params, study.best_value)
