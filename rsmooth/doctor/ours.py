"""The report on a file or folder that rsmooth wrote: what it is, whether it is whole, what next."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import yaml
from torch import nn

from rsmooth.config.folder import BEST, CERTIFICATES, CONFIG, METRICS, MODEL, read_config
from rsmooth.doctor.asked import Asked, digits
from rsmooth.doctor.findings import Report, listed
from rsmooth.doctor.logs import examine_table, recheck, stated_setting
from rsmooth.doctor.sample import Sample
from rsmooth.doctor.verdict import judge
from rsmooth.doctor.weights import suspicions
from rsmooth.models.normalize import Classifier
from rsmooth.noise.distributions import Gaussian
from rsmooth.plumbing.errors import EmptyRecordError, RecordError
from rsmooth.plumbing.exits import in_one_line
from rsmooth.records.audits import beside, of_another
from rsmooth.records.files import read_log, record_files
from rsmooth.records.journal import parse_journal
from rsmooth.records.log import ABSTAIN, CertificationLog, images_asked
from rsmooth.smoothed import SmoothedClassifier

_JSON = {
    "audit.json": ("an audit of certificates", "rsmooth report"),
    "attack.json": ("accuracies under attack", None),
}


_OPTIONS = {
    "sigma",
    "noise",
    "trainer",
    "model",
    "dataset",
    "run",
    "checkpoint",
    "attack",
    "preset",
}


def examine_model_file(path: Path, asked: Asked) -> Report:
    """The report on a model that ``SmoothedClassifier.save`` wrote.

    examine_model_file(Path("runs/a/model.pt"), Asked()).facts["noise"]
    """
    g = SmoothedClassifier.load(path)
    report = Report(str(path), "a smoothed classifier that rsmooth saved")
    name = (getattr(g.base, "architecture", None) or {}).get("name", type(g.base).__name__)
    report.add(
        "ok",
        "model",
        f"{name}, {g.noise}, {g.num_classes} classes, "
        f"{sum(p.numel() for p in g.parameters()):,} parameters; it opens, and all weights fit",
        architecture=name,
        noise=g.noise.record(),
        num_classes=g.num_classes,
    )
    report.findings += suspicions(g.base.state_dict())
    sample = asked.sample() or _digits_for(g.base)
    if sample is not None and _takes(g.base, sample):
        _try_out(report, g, sample)
    elif sample is not None:
        report.add("wrong", "images", f"it does not take images of {sample.shape}: name others")
        sample = None
    words = ["rsmooth certify", shlex.quote(str(path))]
    words += [sample.options if sample is not None else "--dataset NAME"]
    words += [f"--out {shlex.quote(path.stem + '.jsonl')}"]
    report.commands.append(" ".join(words))
    return report


def _try_out(report: Report, g: SmoothedClassifier, sample: Sample) -> None:
    base = g.base
    net, layer = (base[1], base[0]) if isinstance(base, Classifier) else (base, nn.Identity())
    sigma = g.sigma if isinstance(g.noise, Gaussian) else None
    layers = {"its own": layer}
    judge(report, net, layers, sample, g.num_classes, stored="its own", sigma=sigma)
    if sigma is None:
        _of_other_noise(report)


def _of_other_noise(report: Report) -> None:
    """Take back what is said of a sigma: the file names a noise that has none."""
    report.findings = [each for each in report.findings if each.topic != "sigma"]
    for fact in ("sigma", "sigma_trained", "sigma_holds"):
        report.facts.pop(fact, None)


def examine_training(path: Path, content: dict[str, Any]) -> Report:
    """The report on the checkpoint of an unfinished or finished training of ours."""
    report = Report(str(path), "a checkpoint of a training by rsmooth")
    history = content.get("history")
    epochs = len(history) if isinstance(history, list) else "an unknown number of"
    report.add(
        "ok", "training", f"{epochs} epochs are in it; the model itself is {MODEL} beside it"
    )
    report.commands.append(f"rsmooth doctor {shlex.quote(str(path.parent))}")
    return report


def examine_folder(path: Path, asked: Asked) -> Report:
    """The report on a run folder: its configuration, models and certificates.

    examine_folder(Path("runs/a"), Asked()).commands
    """
    report = Report(str(path), "a run folder")
    config = _config(report, path / CONFIG) if (path / CONFIG).exists() else None
    models = [name for name in (MODEL, BEST) if (path / name).exists()]
    for name in models:
        _model(report, path / name)
    remark_on_training(report, path / METRICS)
    if not models:
        report.add("look", "model", f"no {MODEL} yet: the training has not ended")
    where = shlex.quote(str(path))
    try:
        record_files(path)
        some = _record(report, path)
    except FileNotFoundError:
        report.add("look", "certificates", "none yet")
        some = False
    if not some:
        missing = "" if config is not None else " --dataset NAME"
        verb = f"rsmooth certify {where}{missing}" if models else f"rsmooth train {where}"
        report.commands.append(verb if models else f"{verb} --config {where}/{CONFIG}")
        return report
    report.commands.append(f"rsmooth report {where}")
    return report


def remark_on_training(report: Report, metrics: Path) -> None:
    """Add what a training said of itself beside the metrics of its last epoch.

    remark_on_training(report, Path("runs/a/metrics.jsonl"))
    """
    if not metrics.exists():
        return
    lines = metrics.read_bytes().splitlines()
    try:
        row = json.loads(lines[-1]) if lines else {}
    except ValueError as error:
        report.add("wrong", "metrics", f"{metrics} holds a line that cannot be read ({error})")
        return
    if isinstance(row, dict) and "remark" in row:
        report.add("look", "training", str(row["remark"]), remark=row["remark"])


def examine_journal(path: Path, asked: Asked) -> Report:
    """The report on a journal of certificates."""
    report = Report(str(path), "a journal of certificates by rsmooth")
    if _record(report, path):
        report.commands.append(f"rsmooth report {shlex.quote(str(path))}")
    return report


def examine_config(path: Path, asked: Asked) -> Report:
    """The report on a YAML file of options."""
    report = Report(str(path), "a YAML file of options")
    config = _config(report, path)
    if config is not None and {"sha256", "architecture"} <= set(config):
        report.kind = "the card of a trained model"
    elif config is not None and not _OPTIONS & set(config):
        report.add("look", "options", "none that rsmooth train or certify would know")
    elif config is not None:
        verb = "certify" if {"checkpoint", "source"} & set(config) else "train"
        new = "" if "run" in config or verb == "certify" else " runs/new"
        report.commands.append(f"rsmooth {verb}{new} --config {shlex.quote(str(path))}")
    return report


def examine_json(path: Path, asked: Asked) -> Report:
    """The report on a JSON file: provenance beside a table, or the result of a verb.

    ValueError for one that none of our verbs writes.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ValueError(f"expected JSON in {path}, got what cannot be read so ({error})") from None
    keys = set(content) if isinstance(content, dict) else set()
    if "provenance" in keys and ("checksums" in keys or "sha256" in keys):
        return _provenance(path, asked)
    for name, (kind, verb) in _JSON.items():
        if path.name.endswith(name):
            report = Report(str(path), kind)
            report.add("ok", "content", listed(sorted(keys)) or "a list")
            if name == "audit.json":
                _check_audited(report, path, content)
            if verb:
                report.commands.append(f"{verb} {shlex.quote(str(path.parent))}")
            return report
    if {"file", "findings", "facts"} <= keys:
        report = Report(str(path), "a report of rsmooth doctor")
        report.add("ok", "content", f"on {content['file']}, which is {content['kind']}")
        report.commands.append(f"rsmooth doctor {shlex.quote(str(content['file']))}")
        return report
    raise ValueError(
        f"expected a file of weights, certificates, options or images, got {path}, JSON of "
        f"{listed(sorted(map(str, keys))) or type(content).__name__}; name one of these"
    )


def _check_audited(report: Report, path: Path, content: Any) -> None:
    """Add whether an audit is of the record beside it; nothing where it does not say."""
    record = beside(path)
    if record is None or not isinstance(content, dict) or "config" not in content:
        return
    try:
        other = of_another(content, read_log(record))
    except (RecordError, OSError) as error:  # the fault of another file
        report.add("look", "record", in_one_line(error))
        return
    if other:
        report.add("wrong", "record", f"{record} is another than it has tested; audit it again")
    else:
        report.add("ok", "record", f"it has tested {record}")


def _provenance(path: Path, asked: Asked) -> Report:
    table = path.with_suffix("")
    if not table.exists():
        report = Report(str(path), f"the provenance of a table {table.name}")
        report.add("wrong", "table", f"{table} is not beside it, so it tells of nothing")
        return report
    report = examine_table(table, sigma=asked.sigma, unit=asked.unit)
    report.kind = f"the provenance of {table.name}, which is {report.kind}"
    report.path = str(path)
    return report


def _config(report: Report, path: Path) -> dict[str, Any] | None:
    try:
        config = read_config(path.parent) if path.name == CONFIG else _options(path)
    except ValueError as error:
        report.add("wrong", "options", str(error))
        return None
    shown = [f"{key} {value}" for key, value in config.items() if isinstance(value, (str, float))]
    report.add("ok", "options", listed(shown, 6) or f"{len(config)} of them", options=config)
    return config


def _options(path: Path) -> dict[str, Any]:
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        said = " ".join(str(error).split())
        raise ValueError(f"expected YAML in {path}, got what cannot be read so ({said})") from None
    if not isinstance(found, dict):
        raise ValueError(f"expected a mapping of options in {path}, got {type(found).__name__}")
    return found


def _model(report: Report, path: Path) -> None:
    try:
        g = SmoothedClassifier.load(path)
    except (ValueError, LookupError) as error:
        report.add("wrong", path.name, str(error))
        return
    name = (getattr(g.base, "architecture", None) or {}).get("name", type(g.base).__name__)
    report.add("ok", path.name, f"{name}, {g.noise}, {g.num_classes} classes; it opens", model=name)
    report.findings += suspicions(g.base.state_dict())


def _record(report: Report, path: Path) -> bool:
    """Certificates of ours: whether they are whole, how many, and whether votes bear them out.

    False where no image is certified yet.
    """
    try:
        torn = sum(parse_journal(f).torn_bytes for f in record_files(path) if f.suffix == ".jsonl")
        log = read_log(path)
    except EmptyRecordError as error:
        of = f" of {error.asked:,} images" if error.asked else ""
        report.add("look", "certificates", f"none yet{of}; the same rsmooth certify goes on")
        return False
    except RecordError as error:
        report.add("wrong", CERTIFICATES, str(error), whole=False)
        return True
    if torn:
        report.add(
            "look", "end", f"{torn} bytes of a torn last line, which the next rsmooth certify drops"
        )
    _say_record(report, log)
    over = recheck(log)
    if over:
        report.add(
            "wrong", "radii", f"{len(over):,} rows contradict their votes: {listed(over, 3)}"
        )
    elif log.counts is not None:
        report.add("ok", "votes", "they are there, and no radius is larger than they show")
    return True


def _say_record(report: Report, log: CertificationLog) -> None:
    asked, stated = images_asked(log), stated_setting(log)
    of = f" of {asked:,}" if asked > len(log) else ""
    abstained = int((log.predict == ABSTAIN).sum())
    made = f" ({stated})" if stated is not None else ""
    report.add(
        "look" if of else "ok",
        "certificates",
        f"{len(log):,}{of} images, {log.statement.norm}, {log.statement.kind}{made}; "
        f"{log.correct.mean():.1%} right at radius 0, {abstained:,} abstentions, radii up to "
        f"{log.radius.max():g}; every checksum fits"
        + ("; the same rsmooth certify goes on with the rest" if of else ""),
        rows=len(log),
        asked=asked,
        abstained=abstained,
        largest=float(log.radius.max()),
        whole=True,
    )


def _digits_for(base: nn.Module) -> Sample | None:
    """The embedded digits, where a model takes such images and has as many classes."""
    options = (getattr(base, "architecture", None) or {}).get("options", {})
    if options.get("num_classes") != 10 or options.get("in_channels") != 1:
        return None
    return digits() if options.get("image_size", 8) == 8 else None


def _takes(base: nn.Module, sample: Sample) -> bool:
    try:
        base(sample.x[:1])
    except (RuntimeError, ValueError):
        return False
    return True
