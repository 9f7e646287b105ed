"""Imports in the package point down only, as docs/architecture.md says."""

import ast
import pathlib
import re

import irevnet_tf

PACKAGE = pathlib.Path(irevnet_tf.__file__).parent
DOCUMENT = pathlib.Path(__file__).parents[1] / "docs" / "architecture.md"


def floors():
    """Return {part: its floor} as the document says."""
    found = {}
    rows = re.findall(r"^\| (\d) \| (.*) \|$", DOCUMENT.read_text(), re.M)
    for floor, parts in rows:
        for part in re.findall("`([a-z_]+)`", parts):
            found[part] = int(floor)
    return found


def imported_parts(path):
    """Return the parts of the package that a module imports from."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            package, *rest = node.module.split(".")
            if package == "irevnet_tf":
                yield rest[0] if rest else node.names[0].name
        elif isinstance(node, ast.Import):
            for name in node.names:
                # The facade, whole.
                assert name.name.split(".")[0] != "irevnet_tf", path


def test_imports_point_down():
    levels = floors()
    modules = list(PACKAGE.rglob("*.py"))
    assert len(modules) > 90
    parts = set()
    for path in modules:
        inside = path.relative_to(PACKAGE)
        part = inside.parts[0].removesuffix(".py")
        if part == "__init__":
            continue
        parts.add(part)
        for other in imported_parts(path):
            assert other == part or levels[other] < levels[part], (
                f"{inside} imports from {other}"
            )
    assert parts == levels.keys()
