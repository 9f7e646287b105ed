"""Documents lead to what there is, and wait for nothing."""

import re

import pages
import pytest

ROOT = pages.ROOT


def _names(path):
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("path", pages.documents(), ids=_names)
def test_files_that_documents_link_to_exist(path):
    links = re.findall(r"\]\((?!http)([^)#]+)\)", path.read_text())
    for link in links:
        assert (path.parent / link).exists(), link


def test_no_document_waits_for_a_number():
    recipes = (ROOT / "recipes").iterdir()
    for path in (*pages.documents(), *recipes):
        found = re.findall(
            r"\b[A-Z]+_(?:ACCURACY|COST|RESULT|MINUTES)\b", path.read_text()
        )
        assert not found, path


def test_every_recipe_is_in_the_documentation():
    text = (ROOT / "docs" / "training.md").read_text()
    for path in (ROOT / "recipes").glob("*.flags"):
        assert f"recipes/{path.name}" in text


def test_readme_is_one_screen():
    text = (ROOT / "README.md").read_text()
    assert len(text.splitlines()) <= 60
    assert {"make demo", "make test"} <= set(
        re.findall(r"^make \w+", text, re.M)
    )


def test_every_page_is_in_the_table_of_contents():
    """Sphinx says so, too, but is not installed for the tests."""
    toctrees = re.compile(r"```\{toctree\}\n.*?\n\n(.*?)```", re.S)
    listed = set()
    for index in (
        "docs/index.md",
        "docs/networks/index.md",
        "docs/reference/index.md",
    ):
        path = ROOT / index
        listed.add(path)
        for entries in toctrees.findall(path.read_text()):
            for entry in re.findall(r"([\w./]+)>?$", entries, re.M):
                listed.add((path.parent / f"{entry}.md").resolve())
    inside = {ROOT / "CHANGELOG.md", ROOT / "CONTRIBUTING.md"}
    outside = set(ROOT.glob("*.md")) - inside
    assert set(pages.documents()) - outside <= listed
    assert all(path.is_file() for path in listed)
