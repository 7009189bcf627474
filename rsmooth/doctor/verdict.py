"""What the trials of a network say: its normalisation, its noise, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
from torch import nn

from rsmooth.doctor import answers as asked
from rsmooth.doctor.batch_norm import Fit, fit
from rsmooth.doctor.findings import Mark, Report, listed
from rsmooth.doctor.sample import Sample, noisy
from rsmooth.doctor.shuffles import COUNT, shuffled, stands_out
from rsmooth.doctor.trial import (
    LEVEL,
    SIGMAS,
    Trial,
    above_chance,
    differ,
    interval,
    rivals,
    run_trial,
)


@dataclass(frozen=True)
class Choice:
    """The normalisation and the sigma to open a network with.

    trained: with the noise it was trained with, as far as batch norm tells; else None.
    """

    normalization: str
    sigma: float
    trained: float | None = None


def judge(
    report: Report,
    net: nn.Module,
    layers: Mapping[str, nn.Module],
    sample: Sample,
    num_classes: int,
    *,
    usual: str | None = None,
    stored: str | None = None,
    sigma: float | None = None,
) -> Choice | None:
    """Try a network out, and add to the report what was found; the setting to use it with.

        judge(report, base[1], candidates(sample.x), sample, num_classes=10)

    None where it only guesses, under any setting.

    net: without normalisation, in eval mode. layers: the normalisations to try, by name.
    usual: what code that writes such files uses, for where nothing else decides. stored: the one of
    ``layers`` that the file itself holds. sigma: that of the noise in the file, if it is there.
    """
    found = fit(net, layers, sample.x, SIGMAS)
    likely = found.possible_normalizations() if found else []
    trial = run_trial(net, layers, sample.x, sample.labels, likely=likely)
    matching = _permuted(trial, num_classes)
    if matching is not None:
        trial = replace(trial, labels=np.asarray(matching)[trial.labels])
    if _at_chance(report, trial):
        name = stored or trial.best()[0]
        _answers(report, net, layers[name], trial, sample, (name, sigma or 0.0), matching)
        _tables(report, trial, found, name)
        return None
    chosen = _normalization(report, trial, likely, found, usual, stored)
    trial.complete(chosen, SIGMAS if sigma is None else (*SIGMAS, sigma))
    sigma, trained = _sigma(report, trial, found, chosen, sigma)
    _answers(report, net, layers[chosen], trial, sample, (chosen, sigma), matching)
    _tables(report, trial, found, chosen)
    return Choice(chosen, sigma, trained)


def _at_chance(report: Report, trial: Trial) -> bool:
    """Whether no setting is shown to be better than one class for all images."""
    counts = np.bincount(trial.labels, minlength=2)
    chance = float(counts.max() / counts.sum())
    if any(above_chance(trial.right(*s), chance, len(trial.answers)) for s in trial.answers):
        return False
    report.add(
        "wrong",
        "accuracy",
        f"not above chance ({chance:.1%}) under any normalisation and noise; best "
        f"{_percent(trial, *trial.best())}: other classes, other images, another architecture, or "
        "weights that were not trained. So nothing tells normalisation and sigma",
        at_chance=True,
    )
    return True


def _permuted(trial: Trial, num_classes: int) -> list[int] | None:
    """The permutation of labels that fits best under any setting, where one is shown.

    It has to fit more than it would with the weights in disorder, at LEVEL over all settings.
    """
    most = max(map(len, trial.answers.values()))
    labels = trial.labels[:most]
    tried = {setting: given for setting, given in trial.answers.items() if len(given) == most}
    found = [
        (float(np.mean(np.asarray(matching)[labels] == given)), matching, setting)
        for setting, given in tried.items()
        if (matching := asked.permutation(given, labels, num_classes)) is not None
    ]
    if not found:
        return None
    share, matching, setting = max(found)
    others = [_fitted(given, labels, num_classes) for given in _in_disorder(trial, setting, most)]
    learned = len(others) > 1 and stands_out(share, others, most, LEVEL / len(tried))
    return matching if learned else None


def _fitted(given: asked.Answers, labels: asked.Answers, num_classes: int) -> float:
    """The share of images that the permutation fits which fits most."""
    return float(np.mean(np.asarray(asked.matching(given, labels, num_classes))[labels] == given))


def _in_disorder(trial: Trial, setting: tuple[str, float], count: int) -> Iterator[asked.Answers]:
    """The answers of the network with its weights in other orders; none where it has no weights."""
    if trial.ask is None:
        return
    for seed in range(COUNT):
        other = shuffled(trial.ask.net, seed)
        if other is not None:
            yield replace(trial.ask, net=other)(*setting, count)


def _normalization(
    report: Report,
    trial: Trial,
    likely: list[str],
    found: Fit | None,
    usual: str | None,
    stored: str | None,
) -> str:
    """The normalisation to use, and the finding that says how sure that is."""
    name, others = _picked(trial, likely, usual, stored)
    accuracy = _percent(trial, *trial.best(name))
    facts = {
        "normalization": name,
        "normalization_clear": not others or stored is not None,
        "rivals": others,
    }
    lost = _lost(trial, name)
    mark: Mark = "look"
    if lost is not None:
        text = (
            f"{name} {_WHY[bool(stored)]}, but {lost[0]} is right more often "
            f"({_percent(trial, *lost)} against {accuracy}): look at the code that trained it"
        )
    elif stored is not None:
        agrees = ", and the statistics of batch norm fit them best" if stored in likely[:1] else ""
        mark = "ok"
        text = f"{_STORED.get(stored, stored)}{agrees}; accuracy {accuracy}"
    elif likely and found is not None:
        mark = "look" if others else "ok"
        text = f"{_fitting(name, others, found)}. Accuracy {accuracy}"
    elif not others:
        mark = "ok"
        text = (
            f"{name}: accuracy {accuracy}, more than with each other one on the same images (exact "
            f"paired tests at {LEVEL:.0%} for all together)"
        )
    else:
        text = _untold(name, others, usual, accuracy)
    report.add(mark, "normalisation", text, **facts)
    return name


_STORED = {"stored": "its constants are in the file", "its own": "that of its own first layer"}
_WHY = {True: "is its own", False: "fits batch norm best"}


def _picked(
    trial: Trial, likely: list[str], usual: str | None, stored: str | None
) -> tuple[str, list[str]]:
    """The normalisation to take, and the others that it could be as well."""
    name = stored or _first(likely, usual) or trial.best()[0]
    left = likely or [name, *rivals(trial, name)]
    if usual in left and stored is None:
        name = str(usual)
    return name, [each for each in left if each != name]


def _first(likely: list[str], usual: str | None) -> str | None:
    return usual if usual in likely else likely[0] if likely else None


def _fitting(name: str, others: list[str], found: Fit) -> str:
    """What batch norm says: the normalisation that it came about under, or several."""
    either = f" (or {listed(others)})" if others else ""
    shares = [f"{each} in {found.normalizations[each]:.1%}" for each in (name, *others)]
    return (
        f"{name}{either}: of those tried, the statistics of batch norm fit no other "
        f"(divergence {found.divergence:.4f}; best in resamples of the images: {listed(shares)})"
    )


def _untold(name: str, others: list[str], usual: str | None, accuracy: str) -> str:
    why = ", which is usual for such files," if name == usual else ""
    return (
        f"cannot tell {name} from {listed(others)}: no difference in accuracy is shown on "
        f"these images. {name}{why} is taken, with {accuracy}. A certificate holds for the "
        "network as it is opened, so one that is only near costs accuracy, and not truth"
    )


def _lost(trial: Trial, name: str) -> tuple[str, float] | None:
    """A setting of another normalisation that is shown to be better than the best of this one."""
    own = trial.right(*trial.best(name))
    others = [s for s in trial.answers if s[0] != name]
    for setting in others:
        other = trial.right(*setting)
        both = min(len(own), len(other))
        better = other[:both].mean() > own[:both].mean()
        if better and differ(own, other) < LEVEL / len(others):
            return setting
    return None


def _sigma(
    report: Report, trial: Trial, found: Fit | None, name: str, stored: float | None
) -> tuple[float, float | None]:
    """The sigma to certify with, and that of the training where it is told."""
    holds, trained = _holds(trial, name), _clear_sigma(found)
    mark: Mark = "look"
    if stored is not None:
        other = trained is not None and stored in SIGMAS and trained != stored
        against = (
            f", but the statistics of batch norm came about under {trained:g}" if other else ""
        )
        mark, sigma = "look" if other else "ok", stored
        text = f"{stored:g} is in the file{against}; accuracy {_percent(trial, name, stored)}"
    elif trained is not None and trained > 0:
        assert found is not None
        mark, sigma = "ok", trained
        text = (
            f"{trained:g}: the statistics of batch norm came about under this noise (best in "
            f"{found.sigmas[trained]:.1%} of resamples); accuracy {_percent(trial, name, trained)}"
        )
    elif trained == 0:
        sigma = SIGMAS[1]
        text = (
            f"0: trained without noise, by the statistics of batch norm. At {sigma:g} accuracy "
            f"falls from {_percent(trial, name, 0.0)} to {_percent(trial, name, sigma)}: train it "
            "with noise, or put a denoiser before it (rsmooth list denoisers)"
        )
    else:
        sigma, text = _by_accuracy(trial, name, holds)
    report.add(mark, "sigma", text, sigma_trained=trained, sigma_holds=holds, sigma=sigma)
    return sigma, trained


def _by_accuracy(trial: Trial, name: str, holds: list[float]) -> tuple[float, str]:
    """The largest sigma at which no loss is shown, where batch norm tells nothing, and why."""
    usable = [sigma for sigma in holds if sigma > 0]
    sigma = max(usable, default=SIGMAS[1])
    text = (
        f"accuracy alone does not tell with which noise it was trained. It is largest at "
        f"{trial.best(name)[1]:g}, and no loss is shown at {listed([f'{s:g}' for s in holds])}; "
        f"{sigma:g} is taken"
    )
    if not usable:
        text += ", though accuracy falls there: it was hardly trained with noise"
    return sigma, text


def _clear_sigma(found: Fit | None) -> float | None:
    """The one sigma that the statistics of batch norm leave; None where they leave several."""
    left = found.possible_sigmas() if found else []
    return left[0] if len(left) == 1 else None


def _holds(trial: Trial, name: str) -> list[float]:
    """The sigmas at which accuracy is not shown to be below that at the best one."""
    best = trial.right(*trial.best(name))
    sigmas = trial.sigmas(name)
    kept = []
    for sigma in sigmas:
        own = trial.right(name, sigma)
        both = min(len(own), len(best))
        if own[:both].mean() >= best[:both].mean() or differ(own, best) >= LEVEL / len(sigmas):
            kept.append(sigma)
    return kept


def _answers(
    report: Report,
    net: nn.Module,
    layer: nn.Module,
    trial: Trial,
    sample: Sample,
    setting: tuple[str, float],
    matching: list[int] | None,
) -> None:
    """Permuted labels, one answer to everything, and the form of the outputs."""
    best = trial.best()
    if matching is not None:
        report.add(
            "wrong",
            "labels",
            f"permuted: {asked.described(matching)}. Accuracies here are those after it is undone; "
            "put the classes of the images into the order of the network",
            permutation=matching,
        )
    logits = asked.logits_of(net, layer, noisy(sample.x[:64], setting[1]))
    for finding in (asked.form(logits), asked.constant(trial.answers[best], trial.labels)):
        if finding is not None:
            report.findings.append(finding)


def _tables(report: Report, trial: Trial, found: Fit | None, chosen: str) -> None:
    """Accuracy by normalisation, each at its best sigma, and by sigma with the one chosen."""
    width = max(len(name) for name in trial.normalizations())
    rows = []
    for name in trial.normalizations():
        setting = trial.best(name)
        share = "" if found is None else f"   batch norm {found.normalizations[name]:6.1%}"
        mark = "*" if name == chosen else " "
        rows.append(
            f"{mark} {name:<{width}}  {_percent(trial, *setting)} at sigma {setting[1]:g}{share}"
        )
    report.tables["accuracy by normalisation (95 % interval)"] = rows
    report.tables[f"accuracy by sigma, with {chosen}"] = [
        f"{sigma:<5g} {_percent(trial, chosen, sigma)}" for sigma in trial.sigmas(chosen)
    ]
    report.facts["trial"] = [
        {
            "normalize": name,
            "sigma": sigma,
            "images": len(given),
            "accuracy": trial.accuracy(name, sigma),
            "interval": interval(trial.right(name, sigma)),
        }
        for (name, sigma), given in trial.answers.items()
    ]
    if found is not None:
        report.facts["batch_norm"] = {
            "best": found.best,
            "divergence": found.divergence,
            "normalizations": found.normalizations,
            "sigmas": found.sigmas,
        }


def _percent(trial: Trial, name: str, sigma: float) -> str:
    right = trial.right(name, sigma)
    low, high = interval(right)
    return f"{right.mean():.1%} ({100 * low:.0f}-{100 * high:.0f}, {len(right)} images)"
