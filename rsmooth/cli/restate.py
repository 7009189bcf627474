"""``rsmooth restate``: new statements from the votes of a finished run, without its model."""

from __future__ import annotations

import dataclasses
import glob
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rsmooth.cli.models import output_file
from rsmooth.cli.verbs import VERBS
from rsmooth.records.audits import identified

if TYPE_CHECKING:
    from rsmooth.records.log import CertificationLog


@VERBS.register("restate", positionals=("source",))
def restate(
    source: Path,
    alpha: float | None = None,
    statements: int | str | None = None,
    append: Path | None = None,
    looked: bool | None = None,
    radii: Sequence[float] | None = None,
    out: Path | None = None,
) -> None:
    """Compute new certificates from stored votes, without the model.

    They may have another alpha, hold for several images together, or use more samples.

    Args:
        source: a run folder or journal with votes of mode fixed; it is not changed
        alpha: failure probability per image, chosen without a look at the votes. With --statements
            it is that of all statements together, with --looked true that of both tests together;
            default: that of the run
        statements: how many certificates are to hold together (Bonferroni), a number or all; all
            radii of an image count as one
        append: a run folder or journal with further samples of the same images (see rsmooth certify
            --extends)
        looked: were any results of source known when the further samples were decided on? In either
            case their number must not depend on the results
        radii: radii of the printed table, e.g. 0.25,0.5; default: chosen from the data
        out: a new file.tsv for the certificates, beside which file.tsv.json records their sources;
            default: print only
    """
    from rsmooth.records.files import read_log, write_log

    _check(alpha, statements, append, looked)
    path = None if out is None else _new_table(out)
    log = read_log(source)
    made = _restated(
        log,
        alpha,
        len(log) if statements == "all" else _count(statements),
        None if append is None else read_log(append),
        bool(looked),
    )
    derived = _derivation(log, source, append, looked)
    made = dataclasses.replace(made, provenance={**made.provenance, **derived})
    print(_before_and_after(log, made, None if radii is None else list(radii)))
    if path is not None:
        write_log(made, path)
        print(f"wrote {path}; see rsmooth report {shlex.quote(str(path))}")


def _check(
    alpha: float | None, statements: int | str | None, append: Path | None, looked: bool | None
) -> None:
    if (append is None) != (looked is None):
        raise ValueError(
            "expected --append and --looked together, got one of them; add --looked true if any "
            "result of the run was known when the further samples were decided on, else "
            "--looked false"
        )
    if alpha is None and statements is None and append is None:
        raise ValueError(
            "expected --alpha, --statements or --append, got none of them, which would change "
            "nothing; add one, or see rsmooth report"
        )
    if looked and statements is not None:
        raise ValueError(
            "expected --statements without --looked true, got both; leave one out, since the "
            "first test has spent its alpha image by image and cannot be made joint afterwards"
        )


def _restated(
    log: CertificationLog,
    alpha: float | None,
    statements: int,
    more: CertificationLog | None,
    looked: bool,
) -> CertificationLog:
    from rsmooth.certify.restate import append_samples, recertify

    if more is not None and looked:
        return append_samples(log, more, looked=True, alpha=alpha)
    if more is not None:
        log = append_samples(log, more, looked=False)
    return recertify(log, alpha=alpha, statements=statements)


def _derivation(
    log: CertificationLog, source: Path, append: Path | None, looked: bool | None
) -> dict[str, Any]:
    """What the provenance of new certificates says of the votes that they come from."""
    from rsmooth.records.log import images_asked

    sources = [source] if append is None else [source, append]
    derived: dict[str, Any] = {
        "derived_from": [record for each in sources for record in identified(each)]
    }
    if looked is not None:
        derived["looked"] = looked
    if (whole := images_asked(log)) > len(log):
        derived["unfinished"] = {"images": len(log), "of": whole}
    return derived


def _count(statements: int | str | None) -> int:
    if statements is None:
        return 1
    if isinstance(statements, str):
        raise ValueError(f"expected --statements to be a whole number or all, got {statements!r}")
    return statements


def _new_table(out: Path) -> Path:
    """``out``; ValueError for a file that exists, or that rsmooth certify will write.

    Certify writes such a table beside its journal.
    """
    if out.suffix != ".tsv":
        raise ValueError(f"expected a table that ends in .tsv, got {out}; rename it")
    if out.exists() or out.with_name(out.name + ".json").exists():
        raise ValueError(f"expected a new file, got {out}, which is there already; name another")
    shards = out.parent.glob(f"{glob.escape(out.stem)}.rank*.jsonl")
    if out.stem == "certificates" or out.with_suffix(".jsonl").exists() or any(shards):
        raise ValueError(
            f"expected a name of its own, got {out}, where rsmooth certify writes; name another"
        )
    output_file(out)
    return out


def _before_and_after(
    before: CertificationLog, after: CertificationLog, radii: list[float] | None
) -> str:
    """Certified accuracy and ACR before and after, with their failure probability."""
    from rsmooth.records.metrics import average_certified_radius, certified_accuracy
    from rsmooth.report.runs import Run, default_radii

    sides = {"before": before, "after": after}
    if radii is None:
        radii = default_radii([Run(name, log) for name, log in sides.items()])
    wanted = [0.0, *radii]
    columns = "".join(f"{f'r={radius:.4g}':>9}" for radius in wanted)
    lines = [f"{'certified %':<12}{columns}{'ACR':>9}"]
    for name, log in sides.items():
        cells = "".join(f"{100 * share:9.1f}" for share in certified_accuracy(log, wanted))
        made = log.provenance
        lines.append(
            f"{name:<12}{cells}{average_certified_radius(log):9.4f}   n={made['n']}, "
            f"alpha={made['alpha']:.4g} per image"
        )
    return "\n".join([*lines, *_meaning(after)])


def _meaning(after: CertificationLog) -> list[str]:
    """Sentences on what new certificates state together, and under which condition."""
    lines, stated = [], after.provenance
    if "unfinished" in stated:
        lines.append(
            f"Unfinished: only {len(after):,} of {stated['unfinished']['of']:,} images are there, "
            "and the figures are those of these alone; rsmooth certify goes on with the run."
        )
    together = stated.get("statements", 1)
    if together > 1:
        chosen = "" if together >= len(after) else " chosen without regard to the votes"
        lines.append(
            f"Any {together} certificates{chosen} hold together, each at all radii up to its own, "
            f"but for a probability of at most {together * stated['alpha']:.4g}."
        )
    if "looked" in stated:
        lines.append(
            "Both tests of an image together fail with probability at most "
            f"{stated['alpha_spent']:.4g}, if the number of further samples did not depend on the "
            "results."
            if stated["looked"]
            else "All samples count as one sample, if the further ones were decided on before any "
            "result was seen."
        )
    return lines
