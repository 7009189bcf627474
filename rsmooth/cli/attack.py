"""``rsmooth attack``: the empirical accuracy of g under attack, over several epsilons."""

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rsmooth.cli.images import choose_images, image_shape
from rsmooth.cli.options import accepts, create
from rsmooth.cli.runs import load_model, output_file
from rsmooth.cli.values import Numbers, PixelValue, PixelValues, Spec, split_spec

if TYPE_CHECKING:
    from rsmooth.data.files import FolderData
    from rsmooth.data.images import ImageData
    from rsmooth.smoothed import SmoothedClassifier

DEFAULT_ATTACK: Spec = {"name": "pgd"}
DEFAULT_OPTIONS = {
    "steps": 20,
    "target": "smoothed",
    "objective": "smoothadv",
}  # of attacks that have them
DEFAULT_EPSILONS = PixelValues((0.0, 0.25, 0.5, 0.75, 1.0))


def attack(
    source: Path | None = None,
    dataset: Spec | None = None,
    split: str = "test",
    skip: int = 1,
    max: int | None = None,
    images: Numbers | None = None,
    attack: Spec = DEFAULT_ATTACK,
    epsilons: PixelValues = DEFAULT_EPSILONS,
    num_noise: int = 16,
    n: int = 1000,
    alpha: float = 0.001,
    seed: int = 0,
    batch_size: int = 32,
    device: str = "auto",
    weights: str = "last",
    checkpoint: Path | None = None,
    normalize: str | None = None,
    sigma: PixelValue | None = None,
    out: Path | None = None,
    progress: bool = True,
) -> None:
    """Attack the smoothed classifier at several epsilons and print its empirical accuracy; an
    abstention is wrong.

    Args:
        source: a run folder, or a model file of ours
        dataset: what to attack; default: what the run was trained on
        split: test, validation or train
        skip: attack images 0, skip, 2*skip, ...
        max: attack at most this many of them
        images: attack just the images of these indices
        attack: the attack and its options, all but epsilon (see rsmooth list attacks); where it has
            them, steps is 20 and g is attacked with the smoothadv objective
        epsilons: l2 norms of the perturbation in [0,1] pixel units, e.g. 0.25,128/255
        num_noise: noise samples that the attack averages over
        n: noise samples of each prediction on an attacked image
        alpha: failure probability of each prediction
        seed: seed of the attack's and the predictions' noise
        batch_size: images attacked at once
        device: cpu, cuda, or auto
        weights: last or best weights of the run folder
        checkpoint: a published checkpoint.pth.tar in place of a run folder
        normalize: its normalisation
        sigma: the sigma to smooth the published checkpoint with
        out: the file for the figures; default: attack.json in the run folder
        progress: show a progress bar
    """
    from rsmooth.certify.proof.bounds import check_n
    from rsmooth.plumbing.tensors import check_labels

    if not epsilons or min(epsilons) < 0 or num_noise < 1 or batch_size < 1:
        raise ValueError(
            "expected at least one epsilon, none below 0, and num_noise and batch_size of at "
            "least 1, got "
            f"epsilons={list(epsilons)}, num_noise={num_noise} and batch_size={batch_size}"
        )
    check_n(n, alpha)
    name, options = _with_defaults(attack)
    path = output_file(
        out or (source / "attack.json" if source is not None and source.is_dir() else None)
    )
    data = choose_images(dataset, source, split=split, skip=skip, limit=max, only=images)
    g = load_model(
        source,
        weights=weights,
        checkpoint=checkpoint,
        normalize=normalize,
        sigma=sigma,
        device=device,
        shape=image_shape(data),
    )
    check_labels(data.labels, len(data), g.num_classes)
    rows = [
        _row(
            g,
            data,
            epsilon,
            {"name": name, **options},
            num_noise,
            n,
            alpha,
            seed,
            batch_size,
            progress,
        )
        for epsilon in epsilons
    ]
    print(
        f"{'epsilon':>8} {'accuracy %':>10} {'s.e.':>5} {'abstained %':>11}   ({len(data)} "
        f"images, {name})"
    )
    for row in rows:
        print(
            f"{row['epsilon']:8.4g} {100 * row['accuracy']:10.1f} "
            f"{100 * row['standard_error']:5.1f} "
            f"{100 * row['abstained']:11.1f}"
        )
    if path is not None:
        made = {
            "attack": {"name": name, **options},
            "num_noise": num_noise,
            "n": n,
            "alpha": alpha,
            "seed": seed,
            "sigma": g.sigma,
            "dataset": data.name,
            "split": data.split,
            "images": data.index.tolist(),
        }
        path.write_text(json.dumps({**made, "rows": rows}, indent=1) + "\n", encoding="utf-8")


def _with_defaults(attack: Spec) -> tuple[str, dict[str, Any]]:
    """Name and options of the attack, and the verb's defaults where it has such options; refused
    before any work.
    """
    from rsmooth.registry import ATTACKS

    name, options = split_spec(attack, "attack")
    if "epsilon" in options:
        raise ValueError(
            "expected epsilons=0.25,0.5 beside the attack, got epsilon within it; move it there"
        )
    defaults = {
        key: value for key, value in DEFAULT_OPTIONS.items() if accepts(ATTACKS.get(name), key)
    }
    options = {**defaults, **options}
    create(ATTACKS, {"name": name, **options, "epsilon": 1.0})
    return name, options


def _row(
    g: "SmoothedClassifier",
    data: "ImageData | FolderData",
    epsilon: float,
    spec: dict[str, Any],
    num_noise: int,
    n: int,
    alpha: float,
    seed: int,
    batch_size: int,
    progress: bool,
) -> dict[str, float]:
    """Accuracy of g's predictions on all images, attacked at one epsilon (0: as they are)."""
    import torch
    from tqdm import tqdm

    from rsmooth.certify.cohen import predict
    from rsmooth.data.convert import to_unit
    from rsmooth.plumbing.progress import bar_options
    from rsmooth.records.log import ABSTAIN
    from rsmooth.registry import ATTACKS

    device = next(g.parameters()).device
    opponent = create(ATTACKS, {**spec, "epsilon": epsilon}) if epsilon > 0 else None
    generator = torch.Generator(device=device).manual_seed(seed)
    right = abstained = 0
    starts = range(0, len(data), batch_size)
    for start in tqdm(starts, desc=f"epsilon {epsilon:.4g}", leave=False, **bar_options(progress)):
        images, labels = data.batch(list(range(start, min(start + batch_size, len(data)))))
        x, y = to_unit(images).to(device), labels.to(device)
        if opponent is not None:
            x = opponent(g, x, y, num_noise=num_noise, generator=generator)
        predicted = predict(
            g,
            x,
            n=n,
            alpha=alpha,
            seed=seed,
            arithmetic="float",  # attacked images leave the 8-bit grid
            index=data.index[start : start + len(labels)],
        ).label.to(y.device)
        right += int((predicted == y).sum())
        abstained += int((predicted == ABSTAIN).sum())
    accuracy = right / len(data)
    return {
        "epsilon": float(epsilon),
        "accuracy": accuracy,
        "abstained": abstained / len(data),
        "standard_error": math.sqrt(accuracy * (1 - accuracy) / len(data)),
    }
