"""Names stay text, and a page needs nothing but itself."""

import json
import re

from rsmooth.report.page.rendering import FOLDER, as_json, render, write_html

EVIL = '</script><script>alert("x")</script><img src=x onerror=alert(1)>&\u2028'


def test_data_cannot_end_its_script_and_is_read_back_the_same():
    text = str(as_json({"name": EVIL, "y": [1.5, None]}))
    assert not set("<>&\u2028") & set(text)
    assert json.loads(text) == {"name": EVIL, "y": [1.5, None]}


def test_a_page_escapes_what_it_is_given(tmp_path):
    text = render(
        "report.html", title=EVIL, version="1", runs=[EVIL], care=[], before=[], groups=[],
        behind=[], images=None,
    )  # fmt: skip
    assert "<script>alert" not in text
    assert "<img" not in text
    assert text.count("&lt;script&gt;alert") >= 3
    assert write_html(text, tmp_path / "new" / "x.html").read_text(encoding="utf-8") == text


def test_nothing_is_loaded_from_elsewhere():
    text = "".join(path.read_text(encoding="utf-8") for path in FOLDER.glob("*.*"))
    addresses = set(re.findall(r"(?:https?:)?//[\w.-]+\.[a-z]+[^\"' ]*", text))
    assert addresses == {"http://www.w3.org/2000/svg"}  # the name of a vocabulary, never fetched
    assert "default-src 'none'" in text
    assert not re.search(r"<link|@import|url\(|innerHTML|insertAdjacent|eval\(", text)
