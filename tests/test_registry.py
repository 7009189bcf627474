"""Registries: names, errors, and a real plug-in package that joins through entry points."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from rsmooth import (
    ATTACKS,
    DATASETS,
    DENOISERS,
    MODELS,
    NOISES,
    OBJECTIVES,
    TRAINERS,
    Registry,
    RegistryError,
)
from rsmooth.cli.main import overview
from rsmooth.cli.verbs import VERBS

ALL = [ATTACKS, DATASETS, DENOISERS, MODELS, OBJECTIVES, TRAINERS]


@pytest.mark.parametrize("registry", ALL, ids=lambda r: r.kind)
def test_every_entry_is_described_in_one_line(registry):
    assert registry.names() == sorted(registry.names())
    for name in registry.own_names():
        assert name == name.lower(), "registry names are lower case with hyphens"
        assert "_" not in name, "registry names are lower case with hyphens"
        assert len(registry.describe(name)) > 10


def test_a_taken_name_is_refused():
    registry = Registry("thing", "rsmooth.tests")
    registry.register("one")(dict)
    with pytest.raises(RegistryError, match="expected a new thing name, got 'one'"):
        registry.register("one")(list)
    assert registry.create("one", a=1) == {"a": 1}


def test_a_definition_that_is_made_again_takes_its_own_place():
    """As when a notebook's cell is run twice; another one of that name is refused."""
    colours = Registry("colour", "rsmooth.test_colours")
    for level in (1, 2):
        exec(
            f"@register('grey')\ndef grey():\n    return {level}",
            {"register": colours.register, "__name__": "n"},
        )
        assert colours.create("grey") == level
    with pytest.raises(RegistryError, match=r"expected a new colour name.*; choose another name"):
        colours.register("grey")(lambda: 3)
    assert colours.create("grey") == 2


def test_an_unknown_name_gets_the_close_matches():
    with pytest.raises(
        RegistryError,
        match="expected a registered trainer, got 'smoothadvv'; did you mean 'smoothadv",
    ):
        TRAINERS.create("smoothadvv")
    with pytest.raises(RegistryError, match=r"known: .*gaussian"):
        TRAINERS.get("zzzzzz")
    assert "gaussian" in TRAINERS
    assert "zzzzzz" not in TRAINERS


def test_models_remember_how_they_were_built():
    model = MODELS.create("small-cnn", num_classes=10, in_channels=1)
    assert model.architecture == {
        "name": "small-cnn",
        "options": {"num_classes": 10, "in_channels": 1},
    }


def test_an_option_that_an_entry_does_not_take_is_met_with_the_close_ones():
    """Also one that differs in case; as a TypeError, as Python itself has it."""
    for registry, name, word, close in (
        (ATTACKS, "pgd", "Epsilon", "epsilon or steps"),
        (TRAINERS, "smoothadv", "epoch", "epochs or warmup_epochs"),
        (MODELS, "mlp", "numclasses", "num_classes"),
        (NOISES, "gaussian", "sgma", "sigma"),
        (DATASETS, "digits", "Validation", "validation"),
    ):
        owner = f"{registry.kind} {name!r}"
        with pytest.raises(TypeError) as error:
            registry.create(name, **{word: 1})
        assert str(error.value) == (
            f"expected an option of {owner}, got {word!r}; did you mean {close}?"
        )


def test_what_an_entry_takes_by_any_name_is_its_own_to_judge():
    registry = Registry("colour", "rsmooth.colours")
    registry.register("any")(lambda **options: options)
    assert registry.create("any", hue=1) == {"hue": 1}
    registry.register("none")(lambda: ())
    with pytest.raises(TypeError, match="option of colour 'none', got 'hue'; it has none, so leav"):
        registry.create("none", hue=1)
    registry.register("in-c")(dict)
    assert registry.create("in-c", hue=1) == {"hue": 1}


PLUGIN = '''
"""A third party's objective, a constant, and an entry that fails to load."""

def flat(log_probs, y):
    """A constant objective, for a test of plug-ins."""
    return log_probs.sum(dim=(1, 2)) * 0
'''


def build_wheel(folder: Path) -> Path:
    """A minimal wheel, written by hand: an installer needs no build tools and no network for it."""
    wheel = folder / "rsmooth_tiny-1.0-py3-none-any.whl"
    info = "rsmooth_tiny-1.0.dist-info"
    entry_points = (
        "[rsmooth.objectives]\ntiny-flat = rsmooth_tiny:flat\ntiny-broken = rsmooth_tiny:missing\n"
    )
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("rsmooth_tiny.py", PLUGIN)
        archive.writestr(
            f"{info}/METADATA", "Metadata-Version: 2.1\nName: rsmooth-tiny\nVersion: 1.0\n"
        )
        archive.writestr(
            f"{info}/WHEEL",
            "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        )
        archive.writestr(f"{info}/entry_points.txt", entry_points)
        archive.writestr(f"{info}/RECORD", "")
    return wheel


def test_an_installed_plugin_joins(tmp_path, monkeypatch):
    site = tmp_path / "site"
    subprocess.run(
        [
            sys.executable,
            "-m",
            "pip",
            "install",
            "--quiet",
            "--no-index",
            "--no-deps",
            "--disable-pip-version-check",
            "--target",
            str(site),
            str(build_wheel(tmp_path)),
        ],
        check=True,
    )
    assert "tiny-flat" not in OBJECTIVES
    monkeypatch.syspath_prepend(str(site))
    assert "tiny-flat" in OBJECTIVES.names()
    assert OBJECTIVES.get("tiny-flat").__module__ == "rsmooth_tiny"
    assert OBJECTIVES.describe("tiny-flat") == "A constant objective, for a test of plug-ins."
    with pytest.raises(
        RegistryError, match="'tiny-broken' to be there as rsmooth_tiny:missing, got AttributeError"
    ):
        OBJECTIVES.get("tiny-broken")
    monkeypatch.undo()
    OBJECTIVES._entries.pop("tiny-flat")
    assert "tiny-flat" not in OBJECTIVES


@pytest.mark.parametrize(
    ("code", "cause"),
    [
        ("raise RuntimeError('boom')", "RuntimeError: boom"),
        ("import rsmooth_nowhere", "ModuleNotFoundError: No module named 'rsmooth_nowhere'"),
        ("import sys\nsys.exit(5)", "SystemExit: 5"),
        ("def (:", "SyntaxError: invalid syntax"),
    ],
)
@pytest.mark.parametrize("module", ["rsmooth_broken", "rsmooth_broken.sub"])
def test_a_package_that_cannot_be_imported_is_named_and_hides_no_other(
    code, cause, module, tmp_path, monkeypatch
):
    (tmp_path / "rsmooth_broken").mkdir()
    (tmp_path / "rsmooth_broken" / "__init__.py").write_text(code)
    (tmp_path / "rsmooth_broken" / "sub.py").write_text('def verb():\n    """Fine."""\n')
    info = tmp_path / "rsmooth_broken-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: rsmooth-broken\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[rsmooth.verbs]\nbroken = {module}:verb\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert f"cannot be loaded: {cause}" in VERBS.describe("broken")
    assert "rsmooth VERB [options]" in overview()
    with pytest.raises(RegistryError, match=f"the verb 'broken' to be there as {module}:verb, got"):
        VERBS.get("broken")
    sys.modules.pop("rsmooth_broken", None)
