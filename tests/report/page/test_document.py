"""The page says what the text says, and what files name stays text."""

import html
import re

from rsmooth.records.files import write_log
from rsmooth.report import report, write_page
from rsmooth.report.page.document import page
from rsmooth.report.sections import caveats_section
from tests.report.by_hand import HEADER, linf_log, run_of, write_run, write_three

EVIL = "<script>alert(1)</script>"


def text_of(made):
    """What a reader sees, without tags."""
    body = re.sub(r"<(script|style)\b.*?</\1>", "", made, flags=re.DOTALL)
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", " ", body)))


def test_every_cell_line_and_caveat_of_the_text_is_on_the_page(tmp_path):
    made = report(write_three(tmp_path), linf=[2 / 255], dimension=64)
    shown = text_of(page(made))
    for section in made.blocks:
        assert section.title in shown
        for part in section.parts:
            if isinstance(part, str):
                assert part in shown
            elif hasattr(part, "rows"):
                assert all(cell in shown for row in (part.header, *part.rows) for cell in row)
            else:
                assert all(line in shown for line in part.lines)
    (care,) = caveats_section(made.runs)
    before = shown.index(
        "Certified at l2 radii, probabilistic", shown.index(care.parts[0].lines[-1])
    )
    assert shown.index(care.parts[0].lines[0]) < before  # caveats first


def test_names_from_files_never_become_markup(tmp_path):
    header = {**HEADER, "dataset": {"name": EVIL}, "model": {"hash": EVIL}, "seed": EVIL}
    folder = write_run(tmp_path / "a", [900, 800, 700, 650], header)
    log = run_of(counts=[[9, 0], [0, 9], [0, 9], [9, 0]], samples=[9] * 4).log
    write_log(log, tmp_path / "b.tsv")
    proofs = linf_log(method=EVIL, proved_by=[EVIL] * 4, provenance={"dataset": {"name": EVIL}})
    write_log(proofs, tmp_path / "c.tsv")
    paths = [folder, tmp_path / "b.tsv", tmp_path / "c.tsv"]
    made = report(paths, names=[EVIL, f'"{EVIL}', f"'{EVIL}"], title=EVIL)
    text = page(made, classes=[EVIL, EVIL])
    assert "<script>alert" not in text
    assert text.count("<script") == text.count("</script>")
    scripts = re.findall(r"<script[^>]*>(.*?)</script>", text, flags=re.DOTALL)
    assert all("alert(1)" not in script or "\\u003cscript" in script for script in scripts)
    assert EVIL in text_of(text)


def test_the_file_is_one_and_loads_nothing(tmp_path):
    path = write_page(report([write_run(tmp_path / "a", [900, 800])]), tmp_path / "r.html")
    text = path.read_text(encoding="utf-8")
    assert not re.search(r'(?:src|href)="(?!#)', text)
    assert 'data-chart="chart-1-2"' in text  # the probabilities, since votes were kept
