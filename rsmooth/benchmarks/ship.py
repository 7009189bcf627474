"""Models that come with the package: weights in half precision, and a card from records alone.

``python -m benchmarks ship NAME --run RUN`` rounds the model of a run and writes NAME.safetensors
and NAME.yaml. Then these very weights are certified, ``rsmooth certify NAME ... --out RECORD``, and
``python -m benchmarks ship NAME --records RECORD ...`` adds what the records say to the card.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from rsmooth.benchmarks.arm import SUMMARY
from rsmooth.benchmarks.place import CHECKOUT, PROGRAM
from rsmooth.certify.cards import certified_card
from rsmooth.certify.run.header import model_hash
from rsmooth.config.parts import settle_trainer
from rsmooth.config.specs import split_spec
from rsmooth.models.shipped import FOLDER, model_card, shipped_file, shipped_names
from rsmooth.plumbing import exits
from rsmooth.plumbing.files import replace_file
from rsmooth.plumbing.paths import user_path
from rsmooth.records.files import read_log
from rsmooth.registry import TRAINERS
from rsmooth.smoothed import SmoothedClassifier

LARGEST_FILE = 5_000_000
# What is kept of the provenance of a training.
KEPT = ("date", "command", "commit", "cpu", "gpu", "python", "versions")


def main(argv: list[str] | None = None) -> int:
    """Write the weights and the card, or add records to the card; return the exit status."""
    options = _parser().parse_args(argv)
    return exits.run(lambda: _main(options), "benchmarks ship")


def _main(options: argparse.Namespace) -> int:
    if options.run is not None:
        ship(options.name, options.run, options.folder)
    if options.records:
        add_records(options.name, options.records, options.radii, options.folder)
    card = options.folder / f"{options.name}.yaml"
    if not card.is_file():
        raise ValueError(
            f"expected --run with an arm for the new model {options.name}, got none, and there is "
            f"no card {card} to show; name one"
        )
    print(card.read_text(encoding="utf-8"), end="")
    return 0


def ship(name: str, run: Path, folder: Path = FOLDER) -> None:
    """Round the model of a run folder to half precision, and begin its card.

        ship("cifar10-sigma-0.25", Path("runs/cifar10/consistency"))

    ValueError for a file above 5 MB; what is there stays then. The same weights again keep what
    the card says of their records.
    """
    training = _training(run)
    method = " then ".join(_method(phase["options"]) for phase in training)
    content, g = _in_half(run)
    digest = hashlib.sha256(content).hexdigest()
    before = _certified_of(name, digest, folder)
    replace_file(folder / f"{name}.safetensors", content)
    architecture: dict[str, Any] = getattr(g.base, "architecture", {})
    card = {
        "title": f"{g.noise}, {architecture['name']}, {method}",
        "noise": g.noise.record(),
        "architecture": _plain(architecture),
        "parameters": sum(own.numel() for own in g.base.parameters()),
        "weights": "float16 for matrices and kernels, float32 for vectors; computed in float32",
        "sha256": digest,
        "model_hash": model_hash(g),
        "training": training,
        "certified": before,
    }
    _write(name, card, folder)


def _in_half(run: Path) -> tuple[bytes, SmoothedClassifier]:
    """The model of a run in half precision: the content of its file, and what that makes."""
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "model.safetensors"
        SmoothedClassifier.load(run / "model.pt").save(path, half=True)
        content = path.read_bytes()
        if len(content) > LARGEST_FILE:
            raise ValueError(
                f"expected at most {LARGEST_FILE:,} bytes of weights, got {len(content):,} from "
                f"{run}; choose a smaller network"
            )
        return content, SmoothedClassifier.load(path)


def _certified_of(name: str, digest: str, folder: Path) -> list[Any]:
    """What the card of just these weights says of their records; nothing without such a card."""
    if name not in shipped_names(folder):
        return []
    card = model_card(name, folder)
    return list(card["certified"]) if card["sha256"] == digest else []


def add_records(
    name: str, records: Sequence[Path], radii: Sequence[float], folder: Path = FOLDER
) -> None:
    """Put what records of just these weights say into the card, in place of earlier records.

    ValueError for a record of other weights.
    """
    card = model_card(name, folder)
    g = SmoothedClassifier.load(shipped_file(name, folder))
    card["certified"] = [certified(path, g, radii) for path in records]
    _write(name, card, folder)


def certified(record: Path, g: SmoothedClassifier, radii: Sequence[float]) -> dict[str, Any]:
    """What a record says: ACR and certified accuracy in %, each with its standard error.

    g: the classifier that it must be of. radii: for records that know each radius. Those of mode
        "grid" or "radius" decide just the radii that they were asked about, and have no ACR.
    """
    entry = certified_card(read_log(record), g, radii)
    # The card names the hash above, and each of its records states probabilistic l2 radii.
    return {
        "record": _relative(record),
        **{key: value for key, value in entry.items() if key not in ("statement", "model_hash")},
    }


def _training(run: Path) -> list[dict[str, Any]]:
    """Options, seconds and provenance of each phase of the training of an arm, in order."""
    summary = json.loads((run / SUMMARY).read_text(encoding="utf-8"))
    if summary["train"] is None:
        raise ValueError(
            f"expected an arm that was trained, got {run}, which certifies models of others; name "
            "the arm of the model"
        )
    before = summary["train"].get("init_from")
    earlier = _training(run.parent / before["arm"]) if isinstance(before, Mapping) else []
    made = summary["provenance"]
    phase = {
        "options": summary["train"],
        "seconds": {key: round(value) for key, value in summary["seconds"]["train"].items()},
        "provenance": {key: made[key] for key in KEPT if made.get(key) is not None},
    }
    return [*earlier, phase]


def _method(options: Mapping[str, Any]) -> str:
    attack = options.get("attack")
    spec, _ = settle_trainer(options.get("trainer"), attack, options.get("preset"))
    name, _ = split_spec(spec, TRAINERS.kind)
    return name if attack is None else f"{name} with attack"


def _relative(record: Path) -> str:
    path = record.resolve()
    inside = CHECKOUT is not None and path.is_relative_to(CHECKOUT)
    return str(path.relative_to(CHECKOUT or path)) if inside else path.name


def _plain(value: Any) -> Any:
    """The same with lists in place of tuples, as YAML has it."""
    return json.loads(json.dumps(value))


def _write(name: str, card: Mapping[str, Any], folder: Path) -> None:
    text = yaml.safe_dump(dict(card), sort_keys=False, width=100)
    replace_file(folder / f"{name}.yaml", text.encode())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        allow_abbrev=False,
        prog=f"{PROGRAM} ship",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("name", help="the name for load_model")
    parser.add_argument("--run", type=user_path, help="an arm of the harness, trained to its end")
    parser.add_argument("--records", nargs="+", type=user_path, help="journals of these weights")
    parser.add_argument(
        "--radii", nargs="+", type=float, default=[0.0, 0.25, 0.5, 0.75], help="of the card"
    )
    parser.add_argument(
        "--folder",
        type=user_path,
        default=FOLDER,
        help="where the models are (default: the package)",
    )
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
