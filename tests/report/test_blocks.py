"""Sections become Markdown that renders as such."""

from rsmooth.report.blocks import Grid, Items, Section, to_markdown


def test_sections_become_markdown():
    grid = Grid(("method", "kind", "clean"), (("a|b", "x", "1.0"),), names=2)
    made = to_markdown(
        [Section("T", level=1), Section("S", (grid, "words", Items("some:", ("a",))))]
    )
    assert made == (
        "# T\n\n## S\n\n| method | kind | clean |\n|---|---|---:|\n| a\\|b | x | 1.0 |\n\nwords\n\n"
        "some:\n\n- a\n"
    )


def test_a_section_without_title_goes_on():
    assert Section("", ("words", Items("", ("a", "b")))).markdown == "words\n\n- a\n- b\n"
