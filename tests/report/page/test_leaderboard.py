"""The leaderboard as a page."""

import re

import numpy as np

from rsmooth.records.metrics import average_certified_radius, certified_accuracy
from rsmooth.records.statistics import accuracy_interval
from rsmooth.report.board import build_board
from rsmooth.report.collecting import LeftOut
from rsmooth.report.entries import QUOTED, Entry, Quoted
from rsmooth.report.page.leaderboard import (
    data_name,
    leaderboard_page,
    noise_name,
    write_leaderboard,
)
from tests.report.page.test_document import EVIL, text_of
from tests.report.test_entries import entry_of


def board_of(*more, left_out=()):
    figures = Quoted({0.0: 0.8, 0.25: 0.6, 0.5: 0.3}, 200, 0.4, 0.05)
    quoted = Entry("q", QUOTED, "a table", "cifar10", 0.25, quoted=figures, idx=np.arange(200))
    bare = Entry("bare", QUOTED, "a table", "cifar10", 0.25, quoted=Quoted({}, 200, 0.123),
                 idx=np.arange(200))  # fmt: skip
    return build_board([entry_of(0), entry_of(1), quoted, bare, *more], left_out)


def row_of(text, method):
    """The cells of a row, without tags, each value with its interval behind a bar."""
    (found,) = re.findall(rf'<tr[^>]*><td class="word[^"]*">{method}(?![a-z])(.*)', text)
    cells = re.split(r"<td[^>]*>", found)
    return [re.sub(r"(?:<[^>]+>)+", "|", cell).strip("|") for cell in cells]


def test_rows_hold_the_numbers_of_their_logs():
    board = board_of()
    (group,) = board.groups
    (entry,) = (each for each in group.entries if each.method == "m0")
    log = entry.run.log
    shares = certified_accuracy(log, [0.0, 0.25, 0.5])
    low, high = accuracy_interval(log, [0.0, 0.25, 0.5])
    figures = [
        f"{100 * a:.1f}|{100 * b:.1f} to {100 * c:.1f}"
        for a, b, c in zip(shares, low, high, strict=True)
    ]
    text = leaderboard_page(board)
    _, origin, *cells, source = row_of(text, 'm0(?=<td class="word">published)')
    abstained = f"{100 * float((log.predict == -1).mean()):.1f}"
    assert cells == [*figures, f"{average_certified_radius(log):.3f}", abstained]
    assert (origin, source) == ("published log", "source 0")
    _, origin, *cells, source = row_of(text, "q")
    assert cells == ["80.0|73.9 to 85.0", "60.0|53.1 to 66.5", "30.0|24.1 to 36.7", "0.400", "5.0"]
    assert (origin, source) == ("quoted", "a table")
    assert row_of(text, "bare")[1:] == ["quoted", "-", "0.123", "a table"]
    most = f"{100 * np.bincount(np.arange(200) % 7).max() / 200:.1f}"
    assert row_of(text, "constant classifier")[2:7] == [most, most, most, "-", "-"]


def test_pairs_are_shown_with_their_corrected_p_values():
    board = board_of()
    (group,) = board.groups
    text = leaderboard_page(board)
    cells = row_of(text, 'm0</td>|m0(?=<td class="word">m1)')
    found = group.pairs
    for place, cell in enumerate(cells[2:]):
        mean, error = 100 * found.difference[0, 1, place], 100 * found.error[0, 1, place]
        assert cell == f"{mean:+.1f} ± {error:.1f}|p={found.adjusted[0, 1, place]:.2g}"
    significant = int((found.adjusted[0, 1] < 0.05).sum())
    assert f"{significant} of 3 differences are significant" in text


def test_names_and_reasons_stay_text():
    evil = entry_of(2, EVIL, noise=EVIL)
    board = board_of(evil, left_out=[LeftOut(EVIL, f"{EVIL} is no log")])
    text = leaderboard_page(board, title=EVIL)
    assert "<script>alert" not in text
    shown = text_of(text)
    assert f"{EVIL} is no log" in shown
    assert f"{EVIL}, {EVIL}: images 0 to 199, 200" in shown
    assert "1 file left out" in shown


def test_a_board_without_logs_is_a_page(tmp_path):
    figures = Quoted({0.0: 0.8, 0.5: 0.3}, None)
    row = Entry("q", QUOTED, "a table", "imagenet", None, quoted=figures)
    text = write_leaderboard(build_board([row]), tmp_path / "b.html").read_text(encoding="utf-8")
    shown = text_of(text)
    assert "ImageNet, over several σ: images not stated" in shown
    assert "The constant classifier is not known here" in shown
    assert "Nothing: every file that was tried is on this page" in shown
    assert row_of(text, "q")[2:4] == ["80.0", "30.0"]  # without the number of images, no interval


def test_words_for_groups():
    assert data_name("cifar10 (validation)") == "CIFAR-10 (validation)"
    assert data_name("other") == "other"
    assert noise_name(0.12, "probabilistic") == "σ = 0.12"
    assert noise_name(None, "deterministic") == "no noise"
    assert noise_name("uniform λ=0.5", "probabilistic") == "uniform λ=0.5"
