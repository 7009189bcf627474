"""How figures look: sizes that stay legible in a column, colours, lines, legends, files."""

from __future__ import annotations

import io
import re
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import ascii_letters, digits
from types import ModuleType
from typing import TYPE_CHECKING, Any

from rsmooth.plumbing.files import replace_file
from rsmooth.plumbing.optional import optional
from rsmooth.plumbing.paths import user_path
from rsmooth.report.runs import Run

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# The colours of Okabe and Ito, which differ for every kind of colour vision. Line styles make the
# curves differ in print.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
STYLES = ("-", (0, (6, 2)), (0, (6, 2, 1.5, 2)), (0, (3, 1.5)), (0, (8, 2, 1.5, 2, 1.5, 2)))
MARKERS = ("o", "s", "^", "D", "v")  # of points, as STYLES are of lines
CONTRADICTION, INK, FAINT = "#D55E00", "#444444", "#bbbbbb"
NORMS = {"l1": r"$\ell_1$", "l2": r"$\ell_2$", "linf": r"$\ell_\infty$"}
MOST_BANDS = 4  # above it, bands hide one another
MOST_LOOKS = 12  # above it, nobody finds a line again in the legend
OF_SEED = re.compile(r"(?P<method>.+)-seed\d+")
SMALLEST, LARGEST = 2.0, 20.0  # inches
# As TrueType: the Type 3 fonts of matplotlib's default are refused by IEEE, ACM and ScholarOne.
FONTS = {"pdf.fonttype": 42, "ps.fonttype": 42}
_GLYPH = 0.56  # the mean width of a letter, in sizes of the font


@dataclass(frozen=True)
class Page:
    """The width of a figure in inches, and the size of its text in points: 8, or 10 if it is wide.

        Page(3.25).size      # 8.0: in a column of a paper

    ValueError for a width that is not between 2 and 20 inches.
    """

    width: float = 7.2

    def __post_init__(self) -> None:
        if not SMALLEST <= self.width <= LARGEST:
            raise ValueError(
                f"expected a width of {SMALLEST:g} to {LARGEST:g} inches, got {self.width:g}; a "
                "column of a paper has about 3.25, a page 6.75"
            )

    @property
    def size(self) -> float:
        """Of all text but titles of panels, in points."""
        return 8.0 if self.width < 5 else 10.0

    def letters(self, share: float = 1.0) -> int:
        """How many letters fit into this share of the width."""
        return int(72 * self.width * share / (_GLYPH * self.size))

    def line(self, width: float) -> float:
        """The width of a line, thinner in a narrow figure."""
        return width * (0.75 if self.width < 5 else 1.0)


def shorten(text: str, letters: int) -> str:
    """The text, without its middle where it has more letters than that: "smoo...seed0"."""
    if len(text) <= letters:
        return text
    kept = max(letters - 3, 2)
    return f"{text[: kept - kept // 2]}...{text[-(kept // 2) :]}"


def shorten_apart(texts: Sequence[str], letters: int) -> list[str]:
    """Each text shortened. Where different ones would read alike, their common beginning goes.

    shorten_apart(["logs/cohen_sigma_0.25", "logs/macer_sigma_0.25"], 12)   # "cohen...0.25", ...
    """
    short = [shorten(text, letters) for text in texts]
    for read in sorted(set(short)):
        alike = [at for at, other in enumerate(short) if other == read]
        begun = _common_words([texts[at] for at in alike])
        if begun:
            apart = shorten_apart([texts[at][begun:] for at in alike], letters)
            short = [apart[alike.index(at)] if at in alike else s for at, s in enumerate(short)]
    return short


def _common_words(texts: Sequence[str]) -> int:
    """How many letters different texts begin with alike, in whole words where there are some."""
    first, last = min(texts), max(texts)
    if first == last:
        return 0
    differ = (at for at, (a, b) in enumerate(zip(first, last, strict=False)) if a != b)
    common = first[: min(next(differ, len(first)), len(first) - 1)]
    return len(common.rstrip(ascii_letters + digits)) or len(common)


def new_figure(page: Page, height: float) -> Figure:
    """An empty figure of this height in inches."""
    needed_for_figures()
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(page.width, height), dpi=200, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def dress(axes: Any, page: Page) -> None:
    """Grid, frame and ticks of axes."""
    axes.grid(color="#e6e6e6", linewidth=page.line(0.8))
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color("#999999")
    axes.tick_params(color="#999999", labelcolor=INK, labelsize=page.size)
    axes.xaxis.label.set_size(page.size)
    axes.yaxis.label.set_size(page.size)


def one_plot(title: str, page: Page) -> tuple[Figure, Any]:
    """A figure of one pair of axes under a title."""
    figure = new_figure(page, 0.625 * page.width)
    axes = figure.add_subplot()
    dress(axes, page)
    axes.set_title(in_lines(title, page, 0.82), loc="left", fontsize=page.size + 1)
    return figure, axes


def in_lines(title: str, page: Page, share: float) -> str:
    """A title in as many lines as it takes within a share of the width."""
    return textwrap.fill(title, max(page.letters(share), 10))


def looks(
    runs: Sequence[Run],
    page: Page | None = None,
    *,
    of_points: str = "",
    among: Sequence[Run] | None = None,
) -> Iterator[tuple[Run, dict[str, Any]]]:
    """Each run with colour, line and label; the seeds of a method share them.

    From MOST_LOOKS methods on, the further ones are grey lines with one label. of_points: how the
    label of a run ends that decided only some radii. among: all runs of a report, so that a method
    looks alike in its figures of some of them.
    """
    page = page or Page()
    names = methods(runs)
    shown, order = list(dict.fromkeys(names)), list(dict.fromkeys(methods(among or runs)))
    further = [name for name in shown if name in order[MOST_LOOKS:]]
    labels = dict(zip(shown, _labels(runs, names, page, of_points), strict=True))
    for at, (run, name) in enumerate(zip(runs, names, strict=True)):
        number, seen = order.index(name), name in names[:at]
        if name in further:
            first = name == further[0] and not seen
            label = f"{len(further)} further" if first else "_nolegend_"
            yield run, _line(page, FAINT, "-", 0.8, label, zorder=1.5)
            continue
        colour, style = COLOURS[number % len(COLOURS)], STYLES[number % len(STYLES)]
        width = 1.8 if names.count(name) == 1 else 1.0
        yield run, _line(page, colour, style, width, "_nolegend_" if seen else labels[name])


def marker(line: dict[str, Any]) -> str:
    """What marks the points of a run, given its ``looks``."""
    return MARKERS[STYLES.index(line["linestyle"])]


def _labels(runs: Sequence[Run], names: Sequence[str], page: Page, of_points: str) -> list[str]:
    """The label of each method, as its first run says it, in what a line of the legend holds."""
    full, endings = [], []
    for name in dict.fromkeys(names):
        run, seeds = runs[names.index(name)], names.count(name)
        full.append(run.label if seeds == 1 else f"{name} ({seeds} seeds){_unsound(run)}")
        endings.append("" if run.asked is None else of_points)
    room = page.letters(0.85) - max(map(len, endings))
    shown = zip(shorten_apart(full, room), endings, strict=True)
    # matplotlib leaves out of a legend what begins with "_".
    return [f"{' ' * label.startswith('_')}{label}{ending}" for label, ending in shown]


def _unsound(run: Run) -> str:
    return run.label.removeprefix(run.name)


def _line(
    page: Page, colour: str, style: Any, width: float, label: str, zorder: float = 2.0
) -> dict[str, Any]:
    width = page.line(width)
    return {"color": colour, "linestyle": style, "linewidth": width, "label": label} | (
        {} if zorder == 2.0 else {"zorder": zorder}
    )


def methods(runs: Sequence[Run]) -> list[str]:
    """The name of each run without that of its seed."""
    of_seed = [OF_SEED.fullmatch(run.name) for run in runs]
    return [
        match["method"] if match else run.name for run, match in zip(runs, of_seed, strict=True)
    ]


def legend_below(axes: Any, page: Page) -> None:
    """A legend below the axes, where it hides no data.

    The figure grows by its rows, and the axes keep their size.
    """
    from matplotlib.transforms import ScaledTranslation

    longest = max(len(label) for label in axes.get_legend_handles_labels()[1])
    size = page.size - (1 if page.size > 8 else 0.5)
    room = 72 * page.width / (size * (_GLYPH * longest + 6.5))  # with the line and a gap
    columns = max(1, min(3, int(room)))
    # Below ticks and label, at a distance that is the same whatever the height of the axes.
    below = ScaledTranslation(0, -(2.4 * page.size + 12) / 72, axes.figure.dpi_scale_trans)
    legend = axes.legend(
        loc="upper center",
        bbox_to_anchor=(0.5, 0.0),
        bbox_transform=axes.transAxes + below,
        borderaxespad=0.0,
        ncols=columns,
        frameon=False,
        fontsize=size,
        handlelength=3.2,
    )
    rows = -(-len(legend.get_texts()) // columns)
    width, height = axes.figure.get_size_inches()
    axes.figure.set_size_inches(width, height + size * (0.024 * rows + 0.02))


def needed_for_figures() -> ModuleType:
    """matplotlib; ImportError, with the extra, where it is not installed."""
    return optional("matplotlib", "figures", "'rsmooth[plots]'")


def save_figure(figure: Figure, stem: str | Path) -> list[Path]:
    """Write ``stem.png`` and ``stem.pdf``, with TrueType fonts; returns their paths.

    save_figure(accuracy_figure(runs), "out/curves")
    """
    matplotlib = needed_for_figures()
    paths = [user_path(f"{stem}.png"), user_path(f"{stem}.pdf")]
    with matplotlib.rc_context(FONTS):
        for path in paths:
            drawn = io.BytesIO()
            figure.savefig(drawn, format=path.suffix[1:])
            replace_file(path, drawn.getvalue(), sync=False)
    return paths
