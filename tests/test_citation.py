"""CITATION.cff names this version, and SECURITY.md what there is."""

import pathlib
import re

import irevnet_tf
from irevnet_tf.starting import COMMANDS

ROOT = pathlib.Path(__file__).parents[1]


def test_the_citation_is_of_this_version():
    text = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    found = dict(re.findall(r"^([a-z-]+): +(.+)$", text, re.M))
    assert found["cff-version"] == "1.2.0"
    assert found["version"] == irevnet_tf.__version__
    assert found["license"] == "Apache-2.0"
    for key in ("message", "title", "type"):
        assert found[key]
    for name in ("Jacobsen", "Smeulders", "Oyallon"):
        assert f"    - family-names: {name}\n" in text


def test_security_speaks_of_commands_and_files_that_there_are():
    text = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
    named = set(re.findall(r"irevnet-[a-z]+", text))
    assert named and named <= set(COMMANDS)
    for path in re.findall(r"`([\w/]+\.(?:json|md))`", text):
        assert (ROOT / path).is_file(), path
