"""Files that say which folder is which class, in the forms in which they are published."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rsmooth.data.class_list import read_classes

FOLDERS = {"n01440764": 0, "n01443537": 1, "n01484850": 2}
FORMS = {
    "table.tsv": "wnid\tindex\tname\nn01484850\t2\tgreat white shark\n"
    "n01440764\t0\ttench\nn01443537\t1\tgoldfish\n",
    "table.csv": 'index,wnid,name\n0,n01440764,tench\n2,n01484850,"great, white"\n'
    "1,n01443537,goldfish\n",
    "classes.json": json.dumps({str(n): [name, "words"] for name, n in FOLDERS.items()}),
    "synsets.txt": "\ufeffn01440764 tench, Tinca tinca\nn01443537 goldfish\n\n"
    "n01484850 great white shark\n",
    "names.txt": "n01440764\nn01443537\nn01484850",
}


@pytest.mark.parametrize("name", FORMS)
def test_every_form_gives_the_same_numbers(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(FORMS[name], encoding="utf-8")
    assert read_classes(tmp_path / name) == FOLDERS


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.txt", "a\nb\na\n", r"each folder once in .*a\.txt, got a again"),
        ("a.txt", "", "got an empty file"),
        ("a.tsv", "index\twnid\n0\ta\n2\tb\n", "numbers 0 to K - 1, .*numbers 0 to 2; list"),
        ("a.tsv", "index\twnid\n1\ta\n2\tb\n", "got 2 folders with the numbers 1 to 2"),
        ("a.tsv", "index\twnid\n0\ta\nx\tb\n", r"a number and a folder .*\['x', 'b'\]"),
        ("a.tsv", "index\tcolour\n0\tred\n", "column wnid or folder beside index"),
        ("a.json", "[1]", "expected a mapping of numbers"),
        ("a.json", "{", "expected JSON in"),
        ("a.json", '{"x": ["a"]}', "expected entries such as"),
    ],
)
def test_what_is_no_list_of_classes_is_refused(
    name: str, text: str, said: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=said):
        read_classes(tmp_path / name)


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"\xff\xfe\x80")
    with pytest.raises(ValueError, match=r"as text in .*a\.txt"):
        read_classes(tmp_path / "a.txt")
