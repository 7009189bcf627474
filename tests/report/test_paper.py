"""The table for a paper: escaped, with its norm, the highest in bold."""

import shutil
import subprocess

import pytest

from rsmooth.report import build_table, report, to_latex
from rsmooth.report.paper import escape_latex
from rsmooth.report.runs import Run
from tests.report.by_hand import HEADER, UNIFORM, linf_log, run_of, write_three

ODD = "100% {a_b}\\&"


def rows_of(text):
    body = text.split(r"\midrule", 1)[1].split(r"\bottomrule")[0]
    return [line.removesuffix(r" \\") for line in body.splitlines() if line.endswith(r"\\")]


def test_an_alpha_that_a_log_does_not_record_is_said_so():
    text = to_latex(build_table([run_of("ours", HEADER), run_of("published")], [0.25]))
    both = r"probabilistic ($\alpha=0.001$) and probabilistic ($\alpha$ not recorded)."
    assert rf"Certified at $\ell_2$ radii, {both}" in text


def test_names_are_escaped_and_the_norm_is_named():
    text = to_latex(build_table([run_of(ODD, UNIFORM)], [0.25]))
    name = r"100\% \{a\_b\}\textbackslash{}\&"
    zero = r"{\scriptsize $\pm$ 0.0}"
    assert rf"{name} & uniform $\lambda$=0.5 & 4 & 100.0 {zero} & 50.0 " in text
    assert r"& clean & $r=0.25$ &" in text
    assert r"Certified at $\ell_1$ radii, probabilistic ($\alpha=0.001$)." in text
    assert r"\label{tab:certified-l1-probabilistic}" in text
    assert text.startswith("% needs \\usepackage{booktabs}\n\\begin{table}[t]\n")
    assert {row.count(" & ") for row in rows_of(text)} == {8}
    assert text.count(r"\toprule") == text.count(r"\bottomrule") == 1
    assert escape_latex("a^b~σ<") == r"a\textasciicircum{}b\textasciitilde{}$\sigma$\textless{}"


def test_the_highest_of_each_column_is_bold_and_equal_values_share_it():
    runs = [run_of("a"), run_of("b", radius=[0.0, 0.2, 0.3, 0.5])]
    text = to_latex(build_table(runs, [0.1, 0.45]), ["clean", "0.1", "0.45", "ACR"])
    first, second, envelope, constant = (row.split(" & ") for row in rows_of(text))
    bold = [[cell.startswith(r"\textbf") for cell in row[1:]] for row in (first, second)]
    assert bold == [[True, True, False, True], [True, False, True, True]]
    assert not any(r"\textbf" in cell for cell in (*envelope, *constant))
    assert "Bold: the highest of its column, whatever its error." in text
    assert text.count(r"\midrule") == 2  # before the runs, and before what is none


def test_what_cannot_be_ranked_is_not_bold():
    one = to_latex(build_table([run_of()], [0.25]))
    apart = to_latex(build_table([run_of("a"), run_of("b", idx=[0, 1, 2, 9])], [0.25]))
    claimed = Run("c", linf_log([2 / 255] * 4, sound=False))
    unsound = to_latex(build_table([claimed, Run("a", linf_log()), Run("b", linf_log())], []))
    assert r"\textbf" not in one + apart
    assert "The runs are not on the same images." in apart
    assert r"\textbf" not in rows_of(unsound)[0]
    assert r"\textbf" in rows_of(unsound)[1]
    assert "known to prove nothing" in unsound


def test_a_narrow_table_has_its_errors_in_the_caption():
    runs = [run_of("a"), run_of("b", radius=[0.0, 0.2, 0.3, 0.5])]
    table = build_table(runs, [0.25])
    text = to_latex(table, ["clean", "0.25", "ACR"], width=3.25)
    assert rows_of(text)[0] == r"a & \textbf{100.0} & \textbf{50.0} & \textbf{0.250}"
    assert "standard errors over the images are at most 25.0 points, 0.104 for the ACR." in text
    assert "most 0.0 points." in to_latex(table, ["clean"], width=3.25)
    assert r"$\pm$" not in text
    claimed = build_table([Run("c", linf_log(sound=False))], [1 / 255])
    assert rows_of(to_latex(claimed, ["1/255"], width=3.25))[0] == "c (not sound) & (75.0)"


def test_a_narrow_table_has_letters_of_eight_points():
    table = build_table([run_of()], [0.25])
    assert r"\footnotesize" in to_latex(table, width=3.25)
    assert r"\footnotesize" not in to_latex(table, width=6.75) + to_latex(table)
    with pytest.raises(ValueError, match="expected a width of 2 to 20 inches, got 325"):
        to_latex(table, width=325)


def test_columns_bring_their_radii(tmp_path):
    paths = write_three(tmp_path)
    made = report(paths[:1], tmp_path / "out", columns=["0.2", "clean"], width=3.25)
    assert made.table.radii == (0.2,)
    text = (tmp_path / "out" / "report.tex").read_text()
    assert r"method & $r=0.2$ & clean \\" in text
    assert report(paths[:1], columns=["ACR"]).table.radii == report(paths[:1]).table.radii
    with pytest.raises(ValueError, match=r"got '0\.3'; add the radius"):
        report(paths[:1], columns=["0.3"], radii=[0.2])


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no LaTeX")
def test_latex_takes_the_table(tmp_path):
    runs = [run_of(ODD, HEADER), run_of("<b>^~$#", HEADER)]
    text = to_latex(
        build_table(runs, [0.25]), ["clean", "0.25", "ACR"], caption="100 % of it", width=3.25
    )
    document = (
        "\\documentclass{article}\\usepackage{booktabs}\\begin{document}\n%s\\end{document}\n"
    )
    (tmp_path / "x.tex").write_text(document % text, encoding="utf-8")
    command = ["pdflatex", "-halt-on-error", "-interaction=nonstopmode", "x.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:]


@pytest.mark.parametrize("name", ["[ours] SmoothAdv", "*star"])
def test_a_name_is_no_option_of_the_row_before(name):
    """LaTeX takes a bracket or a star behind the end of a row for its own."""
    rows = rows_of(to_latex(build_table([run_of("a"), run_of(name)], [0.25])))
    assert any(row.startswith("{}" + name) for row in rows)
