"""The run folder: the files that one verb writes for the next, and the configuration of the run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from rsmooth.config.effective import EFFECTIVE
from rsmooth.models import hub_card
from rsmooth.models.shipped import is_shipped, shipped_file
from rsmooth.plumbing.difference import differences
from rsmooth.plumbing.errors import LockedError
from rsmooth.plumbing.files import replace_file
from rsmooth.plumbing.yaml_text import dump_yaml, read_mapping

CONFIG, MODEL, BEST, CERTIFICATES = "config.yaml", "model.pt", "best.pt", "certificates.jsonl"
METRICS = "metrics.jsonl"
TRAINED = (MODEL, BEST, "checkpoint.pt", METRICS)


def claim(run: Path, config: dict[str, Any]) -> bool:
    """Make ``run`` the folder of this configuration; whether it was not so before.

        claim(Path("runs/a"), {"sigma": 0.25, "trainer": "gaussian"})

    ValueError if the folder holds a run of another configuration, or models without one.
    """
    path = run / CONFIG
    if path.exists():
        found = differing(read_config(run), config)
        if found:
            raise ValueError(
                f"expected the configuration that {path} holds, got {'; '.join(found)}; "
                "take another run folder, or give the same options to go on with this one"
            )
        return False
    if run.exists() and not run.is_dir():
        raise ValueError(f"expected a run folder, got {run}, which is a file; name a new folder")
    foreign = [name for name in TRAINED if (run / name).exists()]
    if foreign:
        raise ValueError(
            f"expected a new folder, or that of a run, got {run}, which holds "
            f"{', '.join(foreign)} but no {CONFIG}; name a new folder, so that nothing there is "
            "overwritten"
        )
    replace_file(path, dump_yaml(config).encode())
    return True


@contextmanager
def claimed(run: Path, config: dict[str, Any]) -> Iterator[None]:
    """Within it ``run`` is the folder of this configuration; errors as of ``claim``.

        with claimed(Path("runs/a"), config):
            trainer.fit(g, data.train, run_dir="runs/a")

    An error before anything was trained withdraws the claim. So the corrected command may have the
    same folder. An interrupt does not, since the same command goes on.
    """
    there = run.exists()
    new = claim(run, config)
    try:
        yield
    except LockedError:  # the folder is that of another process
        raise
    except Exception:
        if new and not any((run / name).exists() for name in TRAINED):
            with suppress(OSError):  # the error itself is what has to be said
                _withdraw(run, folder=not there)
        raise


def _withdraw(run: Path, *, folder: bool) -> None:
    """Remove what tells of the configuration, and the folder too unless it holds more."""
    for name in (EFFECTIVE, CONFIG):
        (run / name).unlink(missing_ok=True)
    if folder:
        run.rmdir()


def read_config(run: Path) -> dict[str, Any]:
    """The configuration of a run folder; ValueError where it is no mapping.

    read_config(Path("runs/a"))["sigma"]
    """
    return read_mapping(run / CONFIG, "repair the file, or name another run folder")


def differing(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Each value in which two configurations differ, in words.

        differing({"sigma": 0.25}, {"sigma": 0.5})  # ["sigma = 0.5 where it has 0.25"]

    The name of a part equals a mapping of only that name. Null equals a missing key.
    """
    found = differences(old, new, bare_names=True, none_is_absent=True)
    return [f"{each.key} = {each.new!r} where it has {each.old!r}" for each in found]


def certified_runs(paths: Sequence[Path]) -> list[Path]:
    """The logs and run folders of ``paths``, and the certified run folders directly below them.

        certified_runs([Path("runs/digits"), Path("sigma_0.25.tsv")])

    ValueError for a folder without any.
    """
    found: list[Path] = []
    for path in paths:
        within = [path] if not path.is_dir() or _certified(path) else certified_below(path)
        if not within:
            raise ValueError(
                f"expected a run folder with certificates, or a folder of such ones, got {path} "
                "without any; run rsmooth certify first"
            )
        found += within
    return found


def uncertified_runs(paths: Sequence[Path]) -> list[Path]:
    """The run folders directly below ``paths`` that wait for their certificates.

        uncertified_runs([Path("runs/digits")])

    Not those that the harness has finished without: they were trained for others.
    """
    folders = [path for path in paths if path.is_dir() and not _certified(path)]
    return [child for folder in folders for child in sorted(folder.iterdir()) if _waits(child)]


def _waits(folder: Path) -> bool:
    begun = any((folder / name).exists() for name in (CONFIG, "arm.yaml"))
    return begun and not (folder / "summary.json").exists() and not _certified(folder)


def _certified(folder: Path) -> bool:
    return any(folder.glob("certificates*.[jt]s*"))


def certified_below(folder: Path) -> list[Path]:
    """The certified run folders directly below a folder, by name.

    certified_below(Path("runs/digits"))
    """
    return sorted(child for child in folder.iterdir() if child.is_dir() and _certified(child))


def model_path(source: Path, weights: str) -> Path:
    """The model file in a run folder, of the last or the best weights, or the file itself.

    A folder with config.json and model.safetensors, as the Hub has it, stands for itself.

    A name that is no file may be that of a model that comes with the package. ValueError where
    there is none.
    """
    if weights not in ("last", "best"):
        raise ValueError(f"expected weights last or best, got {weights!r}; choose one of them")
    if not source.exists() and is_shipped(str(source)):
        return shipped_file(str(source))
    path = source / (MODEL if weights == "last" else BEST) if source.is_dir() else source
    if not path.exists() and (source / hub_card.CONFIG).is_file():
        return source  # as the Hub has it
    if not path.exists():
        raise ValueError(
            f"expected a trained model in {path}, got no such file; run rsmooth train first, or "
            "name one of rsmooth list models"
        )
    return path
