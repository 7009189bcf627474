"""The report on a certification log: a published table, or a journal or table of ours."""

from __future__ import annotations

import logging
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rsmooth.certify.proof.bounds import max_radius, radius_from_counts
from rsmooth.doctor.findings import Report, listed
from rsmooth.doctor.samples import (
    Setting,
    fitting,
    impossible,
    precision,
    sigma_of_path,
    top,
    usual_settings,
)
from rsmooth.doctor.subsets import classes, doubled, subset, unfinished
from rsmooth.plumbing.errors import RecordError
from rsmooth.records.dialects import Survey, survey_table
from rsmooth.records.files import read_log
from rsmooth.records.log import ABSTAIN, COLUMNS, CertificationLog, FloatArray, faults

_MOST = 8  # rows that are named
_FEW = 50  # rows
_SURE = 3  # images with the largest radius, from which it is taken for that of unanimous votes


def examine_table(path: Path, *, sigma: float | None = None, unit: str | None = None) -> Report:
    """The report on a table of certificates, all of its faults included.

        examine_table(Path("sigma_0.25")).text()

    sigma: of the noise, where neither the path nor the record beside the table says it.
    unit: what the radii are measured in, where the table does not say.

    ValueError for a file that is no table of certificates, with the reason.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise RecordError(
            f"expected a text table, got {path}, which is no UTF-8 ({error})"
        ) from None
    report = Report(str(path), "a certification log")
    try:
        with _quietly():
            survey = survey_table(path, text, unit)
    except RecordError as error:
        report.add("wrong", "columns", str(error).replace(f"{path}, line 1: ", ""), readable=False)
        return report
    _dialect(report, survey)
    _rows(report, survey)
    log = _reads(report, path, unit)
    if len(survey.lines):
        _images(report, survey.columns)
        _few(report, len(survey.lines))
        _answers(report, survey.columns)
        _radii(report, path, survey, sigma, log)
        _times(report, survey.columns["time"], "time" in survey.names)
    return report


@contextmanager
def _quietly() -> Iterator[None]:
    """A context in which notes on a table are no warnings, since they are findings here."""
    loggers = [logging.getLogger(f"rsmooth.records.{name}") for name in ("dialects", "published")]
    before = [each.disabled for each in loggers]
    for each in loggers:
        each.disabled = True
    try:
        yield
    finally:
        for each, was in zip(loggers, before, strict=True):
            each.disabled = was


def _dialect(report: Report, survey: Survey) -> None:
    unread = [name for name in survey.names if name not in COLUMNS and "radi" not in name]
    further = f"; not read: {listed(unread)}" if unread else ""
    digits, decimals = precision(survey.radii) if survey.radii else (0, 0)
    form = "all digits" if digits > 10 else f"{digits} significant digits, {decimals} decimals"
    report.add(
        "ok",
        "dialect",
        f"columns {' '.join(survey.names)}, separated by {survey.separator}; {survey.norm} radii "
        f"with {form}{further}",
        readable=True,
        separator=survey.separator,
        norm=survey.norm,
        precision=[digits, decimals],
    )
    if not survey.ended:
        report.add("look", "end", "the last line has no end: the table may have been cut off")


def _rows(report: Report, survey: Survey) -> None:
    report.facts["rows"] = len(survey.lines)
    for text in survey.damaged[:_MOST]:
        report.add("wrong", "row", text)
    if len(survey.damaged) > _MOST:
        report.add("wrong", "row", f"and {len(survey.damaged) - _MOST:,} more cannot be read")
    found = faults(*(survey.columns[name] for name in COLUMNS))
    for at, why in found[:_MOST]:
        report.add("wrong", "row", f"line {survey.lines[at]}: {why}")
    if len(found) > _MOST:
        report.add("wrong", "row", f"and {len(found) - _MOST:,} more contradict themselves")
    report.facts["faulty"] = len(survey.damaged) + len(found)
    if not survey.lines:
        report.add("wrong", "rows", "none that can be read")


def _images(report: Report, columns: dict[str, NDArray[np.float64]]) -> None:
    idx, label = (columns[name].astype(np.int64) for name in ("idx", "label"))
    words, missing = subset(idx)
    twice, short = doubled(idx), unfinished(idx)
    gaps = f"; {len(missing):,} lack: {listed(missing)}" if missing else ""
    again = f"; doubled: {listed(twice)}" if twice else ""
    ends = f"; {short}" if short else ""
    order = "" if (np.diff(idx) > 0).all() else "; not in the order of the data set"
    report.add(
        "wrong" if twice else "look" if missing or short or order else "ok",
        "images",
        f"{len(idx):,} rows: {words}{gaps}{again}{ends}{order}; {classes(label)}",
        subset=words,
        missing=missing,
        doubled=twice,
        classes=len(np.unique(columns["label"])),
    )


def _few(report: Report, count: int) -> None:
    if count < _FEW:
        error = 50 / count**0.5
        report.add(
            "look",
            "rows",
            f"only {count}: an accuracy near 50 % has a standard error of {error:.0f} points; was "
            "the table cut off?",
        )


def _answers(report: Report, columns: dict[str, NDArray[np.float64]]) -> None:
    label, predict = columns["label"], columns["predict"]
    abstained = int((predict == ABSTAIN).sum())
    right = predict == label
    text = f"{right.mean():.1%} right at radius 0, {abstained:,} abstentions"
    report.add("ok", "accuracy", text, abstained=abstained, accuracy=float(right.mean()))
    answered = np.unique(predict[predict != ABSTAIN])
    if not len(answered):
        report.add("wrong", "answers", "every image was abstained from")
    elif len(answered) == 1 and len(np.unique(label)) > 1:
        report.add("wrong", "answers", f"class {int(answered[0])} only: a constant classifier")
    most = max(np.mean(label == each) for each in np.unique(label))
    if len(np.unique(label)) > 1 and 0 < right.mean() <= most and len(answered) > 1:
        report.add(
            "look", "answers", f"no better than one class for all images, which is {most:.1%} right"
        )


def _radii(
    report: Report,
    path: Path,
    survey: Survey,
    sigma: float | None,
    log: CertificationLog | None,
) -> None:
    radii = survey.columns["radius"]
    printed = precision(survey.radii)
    if not (radii > 0).any():
        report.add("wrong", "radii", "all are 0: nothing is certified", largest=0.0)
        return
    report.facts["largest"] = float(radii.max())
    if survey.norm != "l2":
        report.add("ok", "radii", f"up to {radii.max():g}, {survey.norm}", settings=[])
        return
    stated = None if log is None else stated_setting(log)
    if stated is not None:
        report.add(
            "ok",
            "radii",
            f"up to {radii.max():g}; its record states {stated}, which certify "
            f"{stated.largest:.6g} at most",
            settings=[vars(stated)],
        )
        cap: float | None = stated.largest
    else:
        named = sigma if sigma is not None else sigma_of_path("/".join(path.parts[-4:]))
        cap = _say_fitting(report, radii, printed, named)
    if cap is not None:
        _over(report, survey, cap, printed)


def _say_fitting(
    report: Report, radii: FloatArray, printed: tuple[int, int], named: float | None
) -> float | None:
    """The settings that the radii fit; returns the largest radius of these, where they are told."""
    found = fitting(radii, printed, named) or fitting(radii, printed)
    highest = top(radii[radii > 0])
    count = int((radii == highest).sum())
    sure = bool(found) and count >= _SURE
    report.facts |= {"settings": [vars(each) for each in found], "sigma_named": named, "sure": sure}
    if sure:
        _say_settings(report, found, named, highest, count)
        return max(each.largest for each in found)
    return _say_unknown(report, found, named, highest, count)


def _over(report: Report, survey: Survey, cap: float, printed: tuple[int, int]) -> None:
    """The rows whose radius is larger than any can be."""
    over = impossible(survey.columns["radius"], printed, cap)
    report.facts["impossible"] = [int(survey.columns["idx"][at]) for at in over]
    if len(over):
        rows = [f"line {survey.lines[at]} ({survey.radii[at]})" for at in over]
        report.add(
            "wrong",
            "radii",
            f"{len(over):,} exceed the largest that such samples can certify, {cap:.6g}: "
            f"{listed(rows)}",
        )


def stated_setting(log: CertificationLog) -> Setting | None:
    """The n, alpha and sigma that the record of a log states, where its noise is Gaussian."""
    made = log.provenance
    n, alpha, sigma = made.get("n"), made.get("alpha"), made.get("sigma")
    if log.statement.norm != "l2" or not (isinstance(n, int) and alpha and sigma):
        return None
    return Setting(n, float(alpha), float(sigma), max_radius(float(sigma), n, float(alpha)))


def _say_settings(
    report: Report, found: list[Setting], named: float | None, highest: float, count: int
) -> None:
    wrong = named is not None and all(each.sigma != named for each in found)
    several = "; several fit, and the radii cannot tell which" if len(found) > 1 else ""
    text = (
        f"up to {highest:g} ({count:,} images), the radius of unanimous votes at "
        f"{' or '.join(map(str, found[:6]))}{several}"
    )
    if wrong:
        text += f". The name says sigma {named:g}, with which no usual n and alpha fit"
    report.add("look" if wrong else "ok", "radii", text)


def _say_unknown(
    report: Report, found: list[Setting], named: float | None, highest: float, count: int
) -> float | None:
    """A word on radii that show no setting; the largest possible one at a known sigma."""
    images = f"{count:,} image{'s' if count > 1 else ''}"
    if found:
        text = (
            f"up to {highest:g} ({images}). Unanimous votes would print so at "
            f"{' or '.join(map(str, found[:6]))}, but so few images may have any other number"
        )
    else:
        text = f"up to {highest:g}, that of unanimous votes at no usual n, alpha and sigma"
    if named is None:
        report.add("look", "radii", f"{text}; give --sigma, if you know it")
        return None
    enough = sorted({s.n for s in usual_settings(named) if s.largest >= highest})
    needs = f"sigma {named:g} needs n >= {enough[0]:,} for it" if enough else ""
    report.add("look", "radii", f"{text}; {needs or f'at sigma {named:g} no usual n reaches it'}")
    return max(each.largest for each in usual_settings(named))


def _times(report: Report, seconds: NDArray[np.float64], there: bool) -> None:
    if not there:
        report.add("ok", "time", "not recorded")
        return
    middle, total = float(np.median(seconds)), float(seconds.sum())
    slow = int((seconds > 20 * max(middle, 1e-9)).sum())
    odd = f"; {slow:,} took 20 times the median" if slow and middle > 0 else ""
    report.add("ok", "time", f"{middle:.3g} s per image (median), {total:,.0f} s together{odd}")


def _reads(report: Report, path: Path, unit: str | None) -> CertificationLog | None:
    """The log, where ``read_log`` takes it, and the command that goes on with it."""
    try:
        with _quietly():
            log = read_log(path, unit=unit)
    except (RecordError, OSError) as error:
        if report.facts.get("faulty", 0) == 0:
            report.add("wrong", "record", str(error))
        return None
    if path.with_name(path.name + ".json").exists():
        said = f"{log.statement.norm}, {log.statement.kind}"
        report.add("ok", "record", f"its provenance is beside it, and the checksums fit ({said})")
    option = f" --unit {shlex.quote(unit)}" if unit else ""
    report.commands.append(f"rsmooth report {shlex.quote(str(path))}{option}")
    return log


def recheck(log: CertificationLog) -> list[str]:
    """What in a log with votes contradicts them: radii that the votes do not give.

    recheck(read_log("runs/a"))     # []

    Of Gaussian noise and mode fixed only; other records give nothing to compare.
    """
    made = log.provenance
    if log.counts is None or log.samples is None or made.get("mode", "fixed") != "fixed":
        return []
    sigma, alpha = made.get("sigma"), made.get("alpha")
    if sigma is None or alpha is None or made.get("target", "predict") != "predict":
        return []
    rows = np.flatnonzero(log.predict != ABSTAIN)
    hits = log.counts[rows, log.predict[rows]]
    allowed = radius_from_counts(hits, log.samples[rows], float(sigma), float(alpha))
    over = rows[log.radius[rows] > allowed * (1 + 1e-9) + 1e-12]
    return [
        f"idx {log.idx[at]}: radius {log.radius[at]:g}, more than its votes show" for at in over
    ]
