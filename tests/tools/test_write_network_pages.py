"""The pages of networks say what their tables do."""

import re

import pytest
import write_network_pages as pages

from irevnet_tf.models.constructors import CONSTRUCTORS

QUICK = ("IRevNet28", "IRevNet34", "RevNet38", "RevViTMini", "ViTMini")


def written(name):
    """Return what the page of a network says of the built network."""
    text = (pages.FOLDER / f"{name.lower()}.md").read_text()
    parameters = re.search(r"trainable parameters \| ([\d,]+)", text)[1]
    shape = re.search(r"representation of these \| ([\dx]+)", text)[1]
    return pages.Built(
        int(parameters.replace(",", "")), tuple(map(int, shape.split("x")))
    )


def test_every_network_has_a_page():
    names = [name for family in pages.FAMILIES for name in family.table]
    assert sorted(names) == sorted(CONSTRUCTORS)
    files = {path.stem for path in pages.FOLDER.glob("*.md")} - {"index"}
    assert files == {name.lower() for name in names}


@pytest.mark.parametrize("name", CONSTRUCTORS)
def test_a_page_is_what_the_tool_writes(name):
    text = (pages.FOLDER / f"{name.lower()}.md").read_text()
    assert text == pages.page(name, written(name)), (
        "run tools/write_network_pages.py"
    )


def test_the_index_is_what_the_tool_writes():
    text = (pages.FOLDER / "index.md").read_text()
    built = {name: written(name) for name in CONSTRUCTORS}
    assert text == pages.index(built), "run tools/write_network_pages.py"


@pytest.mark.parametrize("name", QUICK)
def test_what_is_written_of_the_built_network_is_so(name):
    assert pages.Built.of(name) == written(name)
