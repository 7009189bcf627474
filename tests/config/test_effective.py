"""What a run came to, in plain values."""

from __future__ import annotations

from pathlib import Path

import yaml

from rsmooth._version import __version__
from rsmooth.attacks.pgd import PGD
from rsmooth.config.effective import EFFECTIVE, plain, with_defaults, write_effective
from rsmooth.defenses.variants import PerturbThenNoise
from rsmooth.objectives import naive
from rsmooth.registry import DATASETS


def test_every_option_is_written_with_its_value(tmp_path: Path) -> None:
    trainer = PerturbThenNoise(attack=PGD(epsilon=0.5, steps=2), epochs=3, lr_milestones=())
    write_effective(tmp_path, sigma=0.25, model=None, trainer=trainer, init_from=Path("runs/a"))
    text = (tmp_path / EFFECTIVE).read_text(encoding="utf-8")
    found = yaml.safe_load(text)
    assert text.startswith("# Every option")
    assert (found["rsmooth"], found["sigma"], found["init_from"]) == (__version__, 0.25, "runs/a")
    assert "model" not in found
    assert found["trainer"]["class"] == "PerturbThenNoise"
    assert found["trainer"]["epochs"] == 3
    assert found["trainer"]["lr"] == 0.1, "expected defaults as well"
    assert found["trainer"]["attack"] == {
        **{"class": "PGD", "norm": "l2", "epsilon": 0.5, "target": "base", "targeted": False},
        **{"objective": "naive", "steps": 2, "step_size": None, "random_start": False},
    }


def test_a_spec_with_its_defaults() -> None:
    assert with_defaults(DATASETS, "digits") == {"name": "digits", "validation": 0.1, "seed": 0}
    assert with_defaults(DATASETS, {"name": "digits", "seed": 3})["seed"] == 3


def test_values_that_yaml_does_not_know() -> None:
    assert plain({"a": (1, None), 2: naive}) == {"a": [1, None], "2": "rsmooth.objectives.naive"}
    assert plain(frozenset()) == "frozenset()"
