"""Rows per image say what the log says."""

import base64
import io

import numpy as np
from PIL import Image

from rsmooth.report.page.images import image_rows, picture_uri
from rsmooth.report.runs import Run
from tests.report.by_hand import linf_log, run_of

VOTES = {"counts": [[90, 10], [60, 40], [30, 70], [100, 0]], "samples": [100] * 4}


def test_a_row_has_answer_votes_and_radius():
    run = run_of(
        predict=[0, 1, -1, 0], correct=[1, 0, 0, 0], radius=[0.12349, 0.2, 0.0, 0.4], **VOTES
    )
    made = image_rows([run], {}, ["cat", "<b>dog</b>"])
    assert [name for name, _ in made.header] == [
        "idx", "run", "label", "prediction", "verdict", "radius", "votes for the label", "votes",
    ]  # fmt: skip
    dog = "1 <b>dog</b>"
    assert made.rows == [
        ("0", "run", "0 cat", "0 cat", "right", "0.1234", "0.9000", f"0 cat: 90, {dog}: 10"),
        ("1", "run", "0 cat", dog, "wrong", "0.2000", "0.6000", f"0 cat: 60, {dog}: 40"),
        ("2", "run", dog, "-", "abstained", "0.0000", "0.7000", f"{dog}: 70, 0 cat: 30"),
        ("3", "run", dog, "0 cat", "wrong", "0.4000", "0.0000", "0 cat: 100"),
    ]
    assert made.choices[1] == ("label", 2, ["0 cat", dog])


def test_the_rest_of_the_votes_is_counted():
    votes = {"counts": [[50, 20, 15, 10, 5]] * 4, "samples": [101] * 4}
    assert image_rows([run_of(**votes)], {}).rows[0][-1] == "0: 50, 1: 20, 2: 15, others: 16"


def test_without_votes_the_proof_is_named():
    log = linf_log(proved_by=["ibp", "crown-ibp", "", "ibp"])
    attacked = np.array([np.inf, 0.5, 0.25, 0.125])
    made = image_rows([Run("i", log, attacked=attacked), run_of("plain")], {})
    assert [row[-1] for row in made.rows[::2]] == [
        "proved by ibp",
        "proved by crown-ibp",
        "",
        "proved by ibp",
    ]
    assert [row[-2] for row in made.rows[::2]] == ["not found", "0.5000", "0.2500", "0.1250"]
    assert {row[-2:] for row in made.rows[1::2]} == {("-", "")}
    assert "in l2 or linf" in made.note


def test_many_images_are_thinned_evenly_and_all_runs_show_the_same():
    runs = [run_of("a"), run_of("b", idx=[0, 1, 2, 9])]
    made = image_rows(runs, {}, most=6)
    assert [(row[0], row[1]) for row in made.rows] == [
        ("0", "a"),
        ("0", "b"),
        ("2", "a"),
        ("2", "b"),
        ("9", "b"),
    ]
    assert "3 of 5 images, evenly chosen" in made.note
    assert "All 5 images" in image_rows(runs, {}).note


def test_pictures_are_shown_pixel_by_pixel_or_made_smaller():
    pixels = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    made = image_rows([run_of()], {0: pixels, 77: pixels})
    assert list(made.pictures) == ["0"]
    assert made.header[0] == ("image", False)
    assert made.choices[0][1] == 2
    kind, data = made.pictures["0"].split(",")
    assert kind == "data:image/png;base64"
    shown = np.asarray(Image.open(io.BytesIO(base64.b64decode(data))))
    np.testing.assert_array_equal(shown, pixels)
    assert (
        len(picture_uri(np.random.default_rng(0).integers(0, 256, (224, 224, 3), np.uint8))) < 6000
    )
