"""tools/check_site.py notices what it is there for."""

import check_site
import pytest

GOOD = """<!doctype html><title>a</title>
<link rel="stylesheet" href="style.css?v=1"><link rel="next" href="b.html">
<script src="script.js"></script><img src="data:image/png;base64,AA==">
<a href="https://example.org/page">elsewhere</a><a href="b.html#there">b</a>
<a href="#here">here</a><p id="here" style="background: url(script.js)"></p>
"""


@pytest.fixture
def site(tmp_path):
    (tmp_path / "style.css").write_text("p {background: url(script.js)}")
    (tmp_path / "script.js").write_text("")
    (tmp_path / "a.html").write_text(GOOD)
    (tmp_path / "b.html").write_text('<p id="there"><a href="a.html">a</a>')
    return tmp_path


def test_nothing_is_wrong(site):
    assert check_site.problems_of(site) == []


@pytest.mark.parametrize(
    "line, problem",
    [
        (
            '<script src="https://cdn.example/x.js"></script>',
            "loads https://cdn.example/x.js",
        ),
        ('<img src="//cdn.example/x.png">', "loads //cdn.example/x.png"),
        (
            '<link rel="stylesheet" href="http://fonts.example/x.css">',
            "loads http://fonts.example/x.css",
        ),
        (
            "<style>@import 'https://fonts.example/x.css';</style>",
            "loads https://fonts.example/x.css",
        ),
        (
            '<p style="background: url(https://cdn.example/x.png)">',
            "loads https://cdn.example/x.png",
        ),
        ('<a href="c.html">c</a>', "leads to c.html, which is not there"),
        ('<img src="c.png">', "leads to c.png, which is not there"),
        ('<a href="b.html#no">', "leads to b.html#no, a place that is not"),
        ('<a href="#no">', "leads to #no, a place that is not there"),
    ],
)
def test_it_is_told_of(site, line, problem):
    with (site / "a.html").open("a") as file:
        file.write(line)
    (found,) = check_site.problems_of(site)
    assert found.startswith(f"a.html {problem}")


def test_style_sheets_are_read(site):
    (site / "style.css").write_text('p {src: url("https://fonts.example/x")}')
    found = check_site.problems_of(site)
    assert found == ["style.css loads https://fonts.example/x"]


def test_a_folder_without_pages_is_refused(tmp_path):
    with pytest.raises(ValueError, match="has pages. Received: folder="):
        check_site.problems_of(tmp_path)
