"""Which images a verb works on."""

from __future__ import annotations

from pathlib import Path

import pytest

from rsmooth.config.images import as_option, choose_images, load_split, load_splits
from rsmooth.registry import RegistryError


def test_images_are_thinned_or_named() -> None:
    whole = load_split("digits", "test")
    thinned = choose_images("digits", None, split="test", skip=7, limit=3, only=None)
    assert thinned.index.tolist() == whole.index.tolist()[::7][:3]
    picked = whole.index.tolist()[3:1:-1]
    named = choose_images("digits", None, split="test", skip=1, limit=None, only=picked)
    assert named.index.tolist() == picked


def test_an_error_names_the_option_that_named_the_data_set(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"to be given root, .* add e.g. --dataset.root=VALUE"):
        load_split("cifar10", "train")
    with (
        pytest.raises(ValueError, match=r"add e.g. --unlabelled.root=VALUE"),
        as_option("unlabelled"),
    ):
        load_split("cifar10", "train")
    with pytest.raises(ValueError, match=r"add e.g. --images digits"), as_option("images"):
        choose_images(None, tmp_path, split="test", skip=1, limit=None, only=None)
    with pytest.raises(RegistryError), as_option("images"):
        load_split("nothing", "train")


def test_what_cannot_be_chosen(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="expected a data set, got none"):
        choose_images(None, tmp_path, split="test", skip=1, limit=None, only=None)
    with pytest.raises(ValueError, match=r"nor a run folder that .*; name a run folder, or add"):
        choose_images(None, None, split="test", skip=1, limit=None, only=None)
    with pytest.raises(ValueError, match=r"got no such file: .*nowhere; check the name"):
        choose_images(None, tmp_path / "nowhere", split="test", skip=1, limit=None, only=None)
    with pytest.raises(ValueError, match="expected split train, validation or test, got 'dev'"):
        load_split("digits", "dev")
    with pytest.raises(ValueError, match="skip and max of at least 1"):
        choose_images("digits", None, split="test", skip=0, limit=None, only=None)
    with pytest.raises(ValueError, match="export RSMOOTH_NOWHERE=PATH"):
        load_splits({"name": "npz", "path": "$RSMOOTH_NOWHERE"})


def test_errors_show_the_name_of_a_variable_not_its_value(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("RSMOOTH_SECRET", str(tmp_path / "a-secret"))
    for spec, kind in (
        ({"name": "npz", "path": "$RSMOOTH_SECRET"}, FileNotFoundError),
        ({"name": "npz", "path": "${RSMOOTH_SECRET}/x.npz"}, FileNotFoundError),
        ({"name": "folder", "root": "$RSMOOTH_SECRET"}, FileNotFoundError),
        ({"name": "digits", "validation": "$RSMOOTH_SECRET"}, ValueError),
    ):
        with pytest.raises(kind, match="RSMOOTH_SECRET") as caught:
            load_splits(spec)
        assert "a-secret" not in f"{caught.value} {caught.value.args}"
        assert caught.value.__suppress_context__
    (tmp_path / "a-secret").write_bytes(b"no archive")
    with pytest.raises(ValueError, match=r"expected an \.npz file .*, got \$RSMOOTH_SECRET"):
        load_splits({"name": "npz", "path": "$RSMOOTH_SECRET"})


@pytest.mark.parametrize(
    ("dataset", "said"),
    [
        ("3", "expected the data set to have a name"),
        ("[1]", "expected the data set to have a name"),
        ("{name: digits, validation: {a: 1}}", "option validation: expected float"),
        ("{name: nobody}", "expected a registered data set, got 'nobody'"),
        ("{name: npz, path: d/none.npz}", "No such file or directory: d/none.npz"),
        ("{name: digits, bogus: 1}", "expected an option of data set 'digits', got 'bogus'"),
    ],
)
def test_a_wrong_data_set_of_a_run_names_its_file(dataset: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(f"dataset: {dataset}\n")
    with pytest.raises(ValueError, match=rf"{said}.*, in .*config\.yaml \(--dataset takes"):
        choose_images(None, tmp_path, split="test", skip=1, limit=None, only=None)
