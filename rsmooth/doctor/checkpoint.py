"""The report on a file of weights: layout, architecture, suspicions, and the command to certify."""

from __future__ import annotations

import shlex
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import nn

from rsmooth.doctor.authors import family, layout, wrappers
from rsmooth.doctor.conversion import convert
from rsmooth.doctor.entries import Entry, entries, optimizers
from rsmooth.doctor.findings import Report, listed
from rsmooth.doctor.reading import Weights
from rsmooth.doctor.sample import Sample, candidates
from rsmooth.doctor.verdict import Choice, judge
from rsmooth.doctor.weights import nearest, parameters, statistics_lack, suspicions
from rsmooth.models.foreign import load_checkpoint
from rsmooth.models.normalize import Normalization
from rsmooth.models.recognise import translated
from rsmooth.registry import MODELS

# What the code that writes such files normalises by; it decides only where nothing else does.
_USUAL = {
    "convex_adversarial": "0.485,0.456,0.406:0.225,0.225,0.225",
    "best_prec1": "imagenet",
    "MACER": "cifar10",
    "Cohen": "cifar10",
    "kuangliu": "cifar10",
}
_CERTIFIED = 500  # images of a usual certification


def examine_checkpoint(
    path: Path,
    found: Weights,
    sample: Sample | None,
    *,
    entry: str | None = None,
    out: Path | None = None,
) -> Report:
    """The report on a file of weights that others wrote.

        examine_checkpoint(path, read_weights(path), None).text()

    sample: the images to try it on; None to look at the weights alone.
    entry: the place of the network that is meant, where the file holds several.
    out: where to write it as a plain checkpoint.
    """
    kind = layout(found.form, found.content, found.metadata)
    report = Report(str(path), kind, facts={"form": found.form, "sha256": found.sha256})
    inside = entries(found.content, sample.shape if sample else None)
    _file(report, path, found)
    if not inside:
        return _without_network(report, found)
    one = _chosen(report, inside, entry, path)
    _prefix(report, one)
    network = _architecture(report, one, found.content)
    report.findings += suspicions(one.weights)
    _dropout(report, found)
    if out is not None:
        convert(one, found.sha256, path, out)
        report.add(
            "ok", "converted", f"written to {out}, with its architecture", converted=str(out)
        )
    if network and one.network and one.network.kind == "denoiser":
        _denoiser(report, path, one)
    elif network and one.network and not _damaged(report):
        _try_out(report, path, found, one, sample, out)
    return report


def options_of(network: Any) -> dict[str, Any]:
    """The options of a network as they are shown: those that are not the usual ones."""
    return {key: value for key, value in network.options.items() if key != "sigma"}


def _file(report: Report, path: Path, found: Weights) -> None:
    checked = found.form in ("torch", "npz")
    text = f"{path.stat().st_size:,} bytes, SHA-256 {found.sha256}"
    if checked:
        report.add("ok", "file", f"{text}; the checksums in it fit", checksums=True)
    else:
        why = "in torch's format before 1.6" if found.form == "torch-legacy" else "of safetensors"
        report.add(
            "look",
            "file",
            f"{text}. A file {why} has no checksums: compare the SHA-256 with a published one",
            checksums=False,
        )
    if found.classes:
        report.add(
            "look",
            "pickle",
            f"it holds objects of {listed(found.classes)}. Nothing of them was run here; "
            "torch.load refuses such files, or runs their code with weights_only=False",
            classes=found.classes,
        )


def _without_network(report: Report, found: Weights) -> Report:
    states = optimizers(found.content)
    if states:
        report.add(
            "wrong",
            "weights",
            f"none: only the state of an optimiser (in {listed(states)}); the network is in "
            "another file",
        )
    else:
        report.add("wrong", "weights", "no weights of a network in it: no tensor with two axes")
    return report


def _chosen(report: Report, inside: Sequence[Entry], wanted: str | None, path: Path) -> Entry:
    """The entry that is meant, and a word on the others."""
    places = [each.place for each in inside]
    report.facts["entries"] = places
    if wanted is not None and wanted not in places:
        raise ValueError(
            f"expected an entry of {path}, got {wanted!r}; it has "
            f"{listed([repr(place) for place in places])}"
        )
    one = inside[0] if wanted is None else inside[places.index(wanted)]
    report.facts["entry"] = one.place
    others = [each.place for each in inside if each is not one]
    if others:
        averaged = [each.place for each in inside if each.average]
        copies = f" ({listed(averaged)}: averaged copies or teachers)" if averaged else ""
        report.add(
            "look",
            "networks",
            f"{len(inside)} side by side: {listed(places)}{copies}. This report is on "
            f"{one.place or 'the first'}; for another one add --entry NAME",
        )
    return one


def _prefix(report: Report, one: Entry) -> None:
    inner = next(iter(one.inner), "")
    ends = (name for name in one.names if name == inner or name.endswith(f".{inner}"))
    prefix = next(ends, inner).removesuffix(inner)
    found = wrappers(one.names)
    words = f"{prefix!r}" if prefix else "none"
    by = f", of {' and '.join(found)}" if found else ""
    away = "; rsmooth takes it away by itself" if prefix else ""
    report.add("ok", "prefix", f"{words}{by}{away}", prefix=prefix)


def _architecture(report: Report, one: Entry, content: Any) -> bool:
    """Whether the network is one of ours; a word on it in any case."""
    if one.network is not None:
        _say_known(report, one, content)
        return True
    near = nearest(one.weights)
    report.facts["parameters"] = parameters(one.weights)
    if near and statistics_lack(near[0]):
        report.add(
            "wrong",
            "batch norm",
            f"{near[0].name} without running statistics ({len(near[0].missing)} tensors): its "
            "answer to an image depends on the others of a batch, so it is no classifier that can "
            "be certified. Save it with track_running_stats=True, after passes in train mode",
            architecture=near[0].name,
        )
    elif near:
        _say_nearest(report, near)
    else:
        _say_unknown(report, one)
    return False


def _say_known(report: Report, one: Entry, content: Any) -> None:
    assert one.network is not None
    name, given, size = one.network.name, options_of(one.network), parameters(one.inner)
    named = content.get("arch") if isinstance(content, dict) else None
    says = f"; the file says {named}" if isinstance(named, str) else ""
    options = ", ".join(f"{key}={value}" for key, value in given.items())
    report.add(
        "ok",
        "architecture",
        f"{name} ({options}), {size:,} parameters, told by names and shapes{says}",
        architecture=name,
        options=given,
        parameters=size,
    )


def _say_unknown(report: Report, one: Entry) -> None:
    known = family(list(one.weights))
    like = f"; by its names it is {known}" if known else ""
    first, last = _ends(one)
    report.add(
        "look",
        "architecture",
        f"none of rsmooth's ({parameters(one.inner):,} parameters; first layer {first}, last "
        f"{last}){like}. Register its constructor with MODELS.register, or use "
        "SmoothedClassifier(your_module, ...)",
        architecture=None,
    )


def _say_nearest(report: Report, near: Sequence[Any]) -> None:
    one = near[0]
    names = " or ".join(each.name for each in near)
    parts = []
    if len({len(each.missing) for each in near}) > 1:
        low, high = sorted(len(each.missing) for each in near)[:: len(near) - 1]
        parts.append(f"{low}-{high} tensors are missing, first {one.missing[0]}")
    elif one.missing:
        parts.append(f"{len(one.missing)} tensors are missing: {listed(one.missing, 4)}")
    if one.unexpected:
        parts.append(f"{len(one.unexpected)} are of nothing in it: {listed(one.unexpected, 4)}")
    if one.reshaped:
        parts.append(f"{len(one.reshaped)} have another shape: {listed(one.reshaped, 4)}")
    report.add(
        "wrong",
        "architecture",
        f"nearly {names}, but {'; '.join(parts)}. A part of a network certifies nothing; save the "
        "whole state dict of this network alone",
        architecture=None,
        nearest=[each.name for each in near],
        missing=one.missing,
        unexpected=one.unexpected,
        reshaped=one.reshaped,
    )


def _ends(one: Entry) -> tuple[str, str]:
    layers = [(name, each) for name, each in one.weights.items() if each.ndim > 1]
    return tuple(f"{name} {tuple(each.shape)}" for name, each in (layers[0], layers[-1]))  # type: ignore[return-value]


def _dropout(report: Report, found: Weights) -> None:
    if any("dropout" in name.lower() for name in found.classes):
        report.add(
            "look",
            "dropout",
            "the module has dropout, which is off in eval mode; certificates are of that network",
        )


def _damaged(report: Report) -> bool:
    return any(each.topic == "weights" and each.mark == "wrong" for each in report.findings)


def _denoiser(report: Report, path: Path, one: Entry) -> None:
    assert one.network is not None
    report.kind = f"weights of a denoiser, {one.network.name}"
    extra = ", 'sigma': 0.25" if one.network.name == "ffdnet" else ""
    report.add(
        "ok",
        "use",
        "it goes before a classifier that was trained without noise (denoised smoothing): "
        f"MODELS.create('denoised', denoiser={{'name': '{one.network.name}', 'weights': "
        f"FILE{extra}}}, classifier='runs/clean')",
        denoiser=one.network.name,
    )
    report.commands.append(f"rsmooth list denoisers {one.network.name}")


def base_network(one: Entry) -> nn.Module:
    """The network of an entry with its weights, without normalisation, in eval mode."""
    assert one.network is not None
    net: nn.Module = MODELS.create(one.network.name, **one.network.options)[1]
    weights = {
        name: each.float() if each.is_floating_point() else each
        for name, each in translated(one.network.name, one.inner).items()
    }
    counters = {name for name in net.state_dict() if name.endswith("num_batches_tracked")}
    net.load_state_dict({**{name: net.state_dict()[name] for name in counters}, **weights})
    return net.eval()


def fits(options: dict[str, Any], sample: Sample) -> str | None:
    """Why a network does not go with images; None where it does."""
    channels = options.get("in_channels", 3)
    if channels != sample.shape[0]:
        return f"it takes images of {channels} channels, and these have {sample.shape[0]}"
    size = options.get("image_size")
    if size is not None and size != sample.shape[-1]:
        return f"it takes images of {size}x{size}, and these are {sample.shape[-1]} wide"
    if int(sample.labels.max()) >= options["num_classes"]:
        return f"it knows {options['num_classes']} classes, and there are {sample.num_classes}"
    return None


def _try_out(
    report: Report,
    path: Path,
    found: Weights,
    one: Entry,
    sample: Sample | None,
    out: Path | None,
) -> None:
    assert one.network is not None
    stored = one.constants() or _stated(found.content)
    opened = _opening(report, path, one, out)
    if sample is None:
        _ask_for_images(report, path, one.network.options, stored is not None)
        return
    why = fits(one.network.options, sample)
    if why is not None:
        report.add("wrong", "images", f"{why}: name images of its own data set")
        return
    layers = candidates(sample.x, stored)
    choice = judge(
        report,
        base_network(one),
        layers,
        sample,
        one.network.options["num_classes"],
        usual=_usual(report.kind),
        stored="stored" if stored is not None else None,
    )
    if choice is not None:
        _certify(report, opened, sample, choice)


def _ask_for_images(report: Report, path: Path, options: dict[str, Any], normalized: bool) -> None:
    where = " It holds its normalisation." if normalized else ""
    report.add(
        "look",
        "trial",
        f"no images were given, so normalisation and sigma were not tried out.{where} Name "
        "labelled images of its data set with --dataset",
    )
    if options.get("in_channels", 3) == 3 and options["num_classes"] == 10:
        report.commands.append(f"rsmooth doctor {shlex.quote(str(path))} --dataset cifar10")
    report.facts["needs"] = "images"


def _stated(content: Any) -> Normalization:
    """Constants under ``normalize``, as a converted file has them."""
    value = content.get("normalize") if isinstance(content, dict) else None
    return tuple(value) if isinstance(value, (list, tuple)) and value else None


def _usual(kind: str) -> str | None:
    return next((name for sign, name in _USUAL.items() if sign in kind), None)


def _opening(report: Report, path: Path, one: Entry, out: Path | None) -> list[str]:
    """How ``rsmooth certify`` opens it: its options; a conversion first, where it does not."""
    assert one.network is not None
    arch, opens = _arch_needed(path, one)
    report.facts["opens"] = opens
    name = one.network.name
    if opens:
        needs = f" with --arch {name}" if arch else ""
        report.add("ok", "opens as", f"{name}{needs}")
        return ["--checkpoint", shlex.quote(str(path)), *(["--arch", name] if arch else [])]
    if out is None:
        out = Path(f"{path.name.split('.')[0]}-plain.pth")
        entry = f" --entry {shlex.quote(one.place)}" if len(report.facts["entries"]) > 1 else ""
        report.commands.append(
            f"rsmooth doctor {shlex.quote(str(path))}{entry} --convert {shlex.quote(str(out))}"
        )
    report.add("look", "opens as", f"{name}, after a conversion: as it is, rsmooth refuses it")
    return ["--checkpoint", shlex.quote(str(out))]


def _certify(report: Report, opened: list[str], sample: Sample, choice: Choice) -> None:
    """The command that certifies."""
    words = ["rsmooth certify", *opened]
    words += [] if choice.normalization == "stored" else [f"--normalize {choice.normalization}"]
    words += [f"--sigma {choice.sigma:g}", sample.options]
    words += [f"--skip {skip}"] if (skip := -(-sample.images // _CERTIFIED)) > 1 else []
    stem = Path(shlex.split(opened[1])[0]).name.split(".")[0]
    words.append(f"--out {shlex.quote(f'{stem}-{choice.sigma:g}.jsonl')}")
    report.commands.append(" ".join(word for word in words if word))


def _arch_needed(path: Path, one: Entry) -> tuple[bool, bool]:
    """Whether an architecture has to be given, and whether the file opens as this network."""
    assert one.network is not None
    for arch in (None, one.network.name):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                model = load_checkpoint(path, normalize=_normalize_of(one), arch=arch)
        except (ValueError, LookupError):
            continue
        if _same(model, one):
            return arch is not None, True
    return False, False


def _normalize_of(one: Entry) -> Normalization:
    return "unknown" if one.constants() is not None else None


def _same(model: nn.Module, one: Entry) -> bool:
    """Whether a file was opened as just this network, and not as one beside it."""
    own, other = base_network(one).state_dict(), model[1].state_dict()  # type: ignore[index]
    return set(own) == set(other) and all(bool((own[k] == other[k]).all()) for k in own)
