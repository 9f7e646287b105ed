"""The documents in Markdown, and the Python code in them."""

import pathlib
import re

ROOT = pathlib.Path(__file__).parents[2]
BLOCK = re.compile(
    r"^(<!-- not run: .+? -->\n)?```python\n(.*?)^```$", re.M | re.S
)


def documents():
    """Return the paths of all documents."""
    return [
        *sorted(ROOT.glob("*.md")),
        *(
            path
            for path in sorted((ROOT / "docs").rglob("*.md"))
            if "_build" not in path.parts
        ),
        *sorted((ROOT / "benchmarks").glob("*.md")),
        *sorted((ROOT / "examples").rglob("*.md")),
        *sorted((ROOT / "weights").glob("*.md")),
    ]


def code_of(path):
    """Return the code of a document, without what says why it is not run."""
    blocks = BLOCK.findall(path.read_text(encoding="utf-8"))
    return "".join(code for reason, code in blocks if not reason)


def run(path, **names):
    """Run the code of a document as it stands, and return its names."""
    exec(compile(code_of(ROOT / path), path, "exec"), names)
    return names
