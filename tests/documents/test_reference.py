"""Every public name has its place in docs/reference/."""

import inspect
import pathlib
import re

import pytest
from public_modules import PUBLIC_MODULES

FOLDER = pathlib.Path(__file__).parents[2] / "docs" / "reference"
MODULES = {module.__name__: module for module in PUBLIC_MODULES}
DIRECTIVE = re.compile(
    r"^\.\. (currentmodule|autoclass|autofunction|autoexception|data):: (\S+)$",
    re.M,
)


def entries():
    """Return (page, module, directive, name) of all entries."""
    for path in sorted(FOLDER.glob("*.md")):
        module = None
        for directive, name in DIRECTIVE.findall(path.read_text()):
            if directive == "currentmodule":
                module = name
            else:
                yield path.stem, module, directive, name


@pytest.mark.parametrize("module", MODULES)
def test_the_pages_have_the_public_names_once(module):
    found = sorted(entry[3] for entry in entries() if entry[1] == module)
    submodules = {name.split(".")[-1] for name in MODULES}
    expected = sorted(set(MODULES[module].__all__) - submodules)
    assert found == expected


def test_each_entry_is_of_its_kind():
    for page, module, directive, name in entries():
        value = getattr(MODULES[module], name)
        if inspect.isclass(value):
            kind = "class"
            if issubclass(value, BaseException):
                kind = "exception"
        else:
            kind = "function" if callable(value) else "data"
        assert directive.removeprefix("auto") == kind, f"{page}: {name}"


def test_every_page_is_in_the_index():
    text = (FOLDER / "index.md").read_text()
    pages = {path.stem for path in FOLDER.glob("*.md")} - {"index"}
    assert set(re.findall(r"\]\((\w+)\.md\)", text)) == pages
    assert set(re.findall(r"^(\w+)$", text, re.M)) == pages
