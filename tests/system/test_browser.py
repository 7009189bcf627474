"""Both pages in a browser: sorting, filters, values at the pointer, no errors, no overflow.

Chromium runs without a window. The page is in a frame of the width that is tested, with a script
of ours that uses it and says what it found; the document around it is printed. Without a Chromium
the tests are skipped; CONTRIBUTING says how to get one.
"""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rsmooth.records.metrics import certified_accuracy
from rsmooth.report import Run, report, write_page
from rsmooth.report.board import build_board
from rsmooth.report.entries import QUOTED, Entry, Quoted
from rsmooth.report.page.leaderboard import write_leaderboard
from tests.report.by_hand import HEADER, write_run
from tests.report.test_entries import entry_of, log_of

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "chrome"))), None)
HERE = Path(__file__).parent
EVIL = "<script>document.title='evil'</script><img src=x onerror=\"document.title='evil'\">"
LONG = "a-method-with-a-name-that-no-column-has-room-for-" * 3

pytestmark = [
    pytest.mark.skipif(BROWSER is None, reason="no Chromium"),
    pytest.mark.parametrize("width", [400, 1600]),
]

BEFORE = """<script>
window.faults = [];
addEventListener("error", (event) => faults.push(String(event.message)));
addEventListener("securitypolicyviolation", (event) => faults.push(event.violatedDirective));
</script>"""


AROUND = """<!doctype html>
<iframe src="used.html" style="width:%dpx;height:900px;border:0"></iframe>
<script>addEventListener("message", (event) => {
  const out = document.createElement("pre");
  out.id = "found";
  out.textContent = JSON.stringify(event.data);
  document.body.append(out);
});</script>"""


def use(page: Path, width: int, script: str, tmp_path: Path) -> dict[str, Any]:
    """What the script finds on the page at this width; asserts that nothing went wrong."""
    own = [(HERE / name).read_text(encoding="utf-8") for name in (script, "browser_probe.js")]
    text = page.read_text(encoding="utf-8").replace("<title>", f"{BEFORE}<title>")
    text = text.replace("</body>", f"<script>{''.join(own)}</script></body>")
    (tmp_path / "used.html").write_text(text, encoding="utf-8")
    around = tmp_path / "around.html"
    around.write_text(AROUND % width, encoding="utf-8")
    options = [
        "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run",
        "--enable-logging=stderr", "--window-size=1700,1000", "--virtual-time-budget=4000",
        f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom", around.as_uri(),
    ]  # fmt: skip
    assert BROWSER is not None
    done = subprocess.run([BROWSER, *options], capture_output=True, text=True, timeout=120)
    match = re.search(r'<pre id="found">(.*?)</pre>', done.stdout, flags=re.DOTALL)
    assert match is not None, done.stderr[-2000:]
    found: dict[str, Any] = json.loads(html.unescape(match[1]))
    assert found["faults"] == []
    assert "CONSOLE" not in done.stderr
    assert found["inner"] == width
    assert found["page"] <= width, "the body must not be wider than the window"
    assert found["title"] != "evil"
    return found


def test_bounds_and_noises_are_sorted(width: int, tmp_path: Path) -> None:
    """What is no plain figure was taken for an empty cell, and stayed last."""
    grid = {**HEADER, "mode": "grid", "mode_options": {"radii": [0.1, 0.3]}}
    shares = {0.5: [650] * 4, 0.12: [950] * 4, 0.25: [800, 650, 650, 650]}
    paths = [
        write_run(tmp_path / str(sigma), hits, {**grid, "sigma": sigma})
        for sigma, hits in shares.items()
    ]
    page = write_page(report(paths), tmp_path / "r.html")
    found = use(page, width, "browser_bounds.js", tmp_path)
    averages = [float(cell.split()[1]) for cell in found["averages"] if cell.startswith("≥ ")]
    assert len(averages) == 3
    assert averages == sorted(averages, reverse=True) != sorted(averages)
    assert [cell for cell in found["noises"] if cell != "-"] == ["σ=0.5", "σ=0.25", "σ=0.12"]


def test_a_report(width: int, tmp_path: Path) -> None:
    hits = {"weak": [900, 500, 800, 650], LONG: [1000, 900, 850, 950], EVIL: [700] * 4}
    paths = [write_run(tmp_path / str(k), votes) for k, votes in enumerate(hits.values())]
    made = report(paths, radii=[0.1, 0.2], names=list(hits), title=EVIL)
    pictures = {idx: np.full((8, 8), 40 * idx, dtype=np.uint8) for idx in range(4)}
    page = write_page(made, tmp_path / "r.html", pictures)
    found = use(page, width, "browser_report.js", tmp_path)
    assert found["before"][:3] == ["weak", LONG.rstrip(), EVIL]
    first = [float(cell.split()[0]) for cell in found["down"]]
    assert first == sorted(first, reverse=True)
    assert found["up"] == found["down"][::-1] or sorted(first) == [
        float(cell.split()[0]) for cell in found["up"]
    ]
    assert found["sorted"] == "descending"
    assert found["names"] == sorted(found["names"], key=str.lower)
    assert found["sorts"] == 1
    assert found["radii"] == sorted(found["radii"], reverse=True)
    assert found["few"][:2] == [0, 1]  # the one image on which weak abstained
    assert "of" in found["few"][2]
    assert (found["right"], found["every"]) == (11, 12)
    runs = made.runs
    for shown, radius in ((found["pointer"], 0.2), (found["home"], 0.0)):
        assert {name: shown[name] for name in hits} == {
            run.name: f"{100 * float(certified_accuracy(run.log, radius)):.1f}" for run in runs
        }
    assert "at 0.2" in found["at"]
    assert "weak 75.0" in found["said"]
    assert found["lines"] == [4, 3, "false"]
    assert found["pictures"] == [8] * 12


def test_a_leaderboard(width: int, tmp_path: Path) -> None:
    figures = Quoted({0.0: 0.8, 0.25: 0.6, 0.5: 0.3}, 200, 0.4)
    log = log_of(7)
    entries = [
        *(entry_of(seed) for seed in range(3)),
        entry_of(3, noise=0.5),
        entry_of(4, "mnist"),
        Entry(EVIL, QUOTED, LONG, "cifar10", 0.25, quoted=figures, idx=np.arange(200)),
        Entry(LONG, QUOTED, EVIL, "cifar10", 0.25, Run(LONG, log), note=EVIL),
    ]
    page = write_leaderboard(build_board(entries), tmp_path / "b.html", "Board")
    found = use(page, width, "browser_board.js", tmp_path)
    words = "images 0 to 199, 200"
    assert found["groups"] == [
        f"CIFAR-10, σ = 0.25: {words}", f"CIFAR-10, σ = 0.5: {words}", f"MNIST, σ = 0.25: {words}",
    ]  # fmt: skip
    assert found["noise"] == found["groups"][1:2]
    assert found["data"] == found["groups"][2:]
    known = [float(cell) for cell in found["acr"] if cell != "-"]
    assert known == sorted(known, reverse=True)
    assert found["acr"][-1] == "-"  # of the constant classifier, last in any order
    assert found["rows"] == 1
    assert found["lines"] == 5
