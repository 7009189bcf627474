"""Progress: redrawn in a terminal, a rare line in a file."""

from __future__ import annotations

import io
import sys
from types import SimpleNamespace

import pytest
from tqdm import tqdm

from rsmooth.plumbing import progress as bars
from rsmooth.plumbing.progress import ProgressBar, bar_options


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def progress(stream: io.StringIO, monkeypatch: pytest.MonkeyPatch, *, shown: bool = True) -> str:
    monkeypatch.setattr(sys, "stderr", stream)
    with tqdm(total=2000, **bar_options(shown)) as bar:
        for _ in range(2000):
            bar.update()
            bar.set_postfix_str("x", refresh=False)
    return stream.getvalue()


def test_a_file_gets_few_lines_and_no_carriage_return(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = progress(io.StringIO(), monkeypatch).splitlines()
    assert [line.split("|")[0].strip() for line in lines] == ["0%", "100%"]
    assert "\r" not in progress(io.StringIO(), monkeypatch)


def test_a_file_gets_a_line_every_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bars, "LINE_SECONDS", 0.0)
    lines = progress(io.StringIO(), monkeypatch).splitlines()
    assert len(lines) > 100
    assert all("it/s" in line or "?it" in line for line in lines)


def test_a_terminal_gets_a_bar_that_is_redrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    text = progress(Terminal(), monkeypatch)
    assert text.count("\r") >= 2
    assert text.count("\n") == 1


@pytest.mark.parametrize("stream", [io.StringIO, Terminal])
def test_nothing_where_it_is_not_wanted(
    stream: type[io.StringIO], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert progress(stream(), monkeypatch, shown=False) == ""


def certification_bar(monkeypatch: pytest.MonkeyPatch, **options: int) -> ProgressBar:
    monkeypatch.setattr(sys, "stderr", Terminal())
    return ProgressBar(10, True, **options)


def test_proofs_have_no_rate_of_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    with ProgressBar(2, True) as bar:
        bar.update(2, 0)
    assert "2.0/2 images" in stream.getvalue()
    assert "samples" not in stream.getvalue()


def test_the_bar_of_a_certification_counts_images(monkeypatch: pytest.MonkeyPatch) -> None:
    with certification_bar(monkeypatch, done=4) as bar:
        assert bar._bar.n == 4
        bar.update(finished=0, samples=1000)
        assert bar._bar.n == 4, "expected no move where the samples per image are not known"
        bar.update(finished=3, samples=1000)
        assert bar._bar.n == 7
    text = sys.stderr.getvalue()  # type: ignore[attr-defined]
    assert "/10 images" in text
    assert bar._bar.disable, "expected the end of the block to close the bar"


def test_the_bar_moves_with_the_samples_where_their_number_is_fixed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with certification_bar(monkeypatch, done=4, samples_each=1000) as bar:
        bar.update(finished=0, samples=500)
        assert bar._bar.n == 4.5
        assert "samples/s" in bar._bar.postfix
        bar.update(finished=6, samples=50_000)
        assert bar._bar.n == 10, "expected no more than all images"


@pytest.fixture
def notebook(monkeypatch: pytest.MonkeyPatch) -> None:
    class ZMQInteractiveShell:
        pass

    monkeypatch.setitem(
        sys.modules,
        "IPython",
        SimpleNamespace(get_ipython=ZMQInteractiveShell),  # type: ignore[arg-type]
    )


@pytest.mark.usefixtures("notebook")
def test_a_notebook_gets_a_bar_that_is_redrawn_though_it_is_no_terminal(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert bars.in_notebook()
    monkeypatch.setattr(bars, "find_spec", lambda name: None)  # without ipywidgets
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    assert list(bars.progress_bar(range(3), shown=True)) == [0, 1, 2]
    assert stream.getvalue().count("\r") >= 2


@pytest.mark.usefixtures("notebook")
def test_a_notebook_with_widgets_gets_one(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[object] = []
    monkeypatch.setattr(bars, "find_spec", lambda name: name == "ipywidgets" or None)
    fake = SimpleNamespace(tqdm=lambda *args, **options: made.append((args, options)))
    monkeypatch.setitem(sys.modules, "tqdm.notebook", fake)  # type: ignore[arg-type]
    bars.progress_bar(None, shown=True, total=5)
    assert made == [((None,), {"disable": False, "total": 5})]


def test_outside_of_a_notebook_there_is_none() -> None:
    assert not bars.in_notebook()
