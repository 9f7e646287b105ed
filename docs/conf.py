"""Sphinx' settings of the documentation site, which `make docs` builds.

The folder that Sphinx reads is the checkout, not docs/: the cards of weights,
the benchmarks and the examples have pages of their own, and a link from one
page to another is the same here and where the repository is shown.
"""

import importlib.metadata
import inspect
import os
import pathlib

# Of TensorFlow, which autodoc imports.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

project = "irevnet_tf"
author = "The irevnet_tf authors"
release = importlib.metadata.version(project)
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]

root_doc = "docs/index"
include_patterns = [
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "benchmarks/*.md",
    "docs/**",
    "examples/**",
    "tests/fixtures/revvit/README.md",
    "weights/*.md",
]
exclude_patterns = ["docs/_build"]

myst_enable_extensions = ["html_image"]
myst_heading_anchors = 3

# Docstrings write code as `code`, as Keras' do.
default_role = "code"
autodoc_class_signature = "mixed"
autodoc_member_order = "bysource"
autodoc_typehints = "none"
napoleon_numpy_docstring = False
napoleon_use_ivar = True
napoleon_use_rtype = False
napoleon_custom_sections = [
    ("Call arguments", "params_style"),
    ("Input shape", "notes_style"),
    ("Output shape", "notes_style"),
    ("Reference", "notes_style"),
]

html_theme = "furo"
html_title = "irevnet_tf"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
html_copy_source = False
html_show_copyright = False
# Summaries are fetched, which browsers refuse for pages that are on disk.
html_show_search_summary = False

# What Keras calls by itself, and nobody who reads the reference.
_KERAS_OWN = {
    "build",
    "compute_inverse_shape",
    "compute_output_shape",
    "compute_output_spec",
    "from_config",
    "get_config",
}


def _skip(app, what, name, value, skip, options):
    """Leave out what only Keras calls, and what has no docstring."""
    if name in _KERAS_OWN or not inspect.getdoc(value):
        return True
    return None


def _signature(app, what, name, value, options, signature, annotation):
    """Return the arguments of a layer, which Keras' `__new__` hides."""
    if what != "class" or signature != "(*args, **kwargs)":
        return None
    found = inspect.signature(value.__init__)
    _, *arguments = found.parameters.values()
    arguments = [x.replace(annotation=x.empty) for x in arguments]
    found = found.replace(parameters=arguments, return_annotation=found.empty)
    return str(found), None


def _as_sphinx_reads_it(app, what, name, value, options, lines):
    """Rewrite Markdown and formulas in docstrings.

    Args:
        lines: list of str. The docstring, which is changed.
    """
    found, title, fenced = [], "", False
    for line in lines:
        before = found[-1] if found else ""
        if line.startswith("```"):
            fenced = not fenced
            line = ".. code-block:: python" if fenced else ""
            found += [line, ""]
        elif fenced:
            found.append(f"    {line}")
        elif line.startswith("|"):
            cells = [cell.strip() for cell in line.strip("|").split("|")]
            if not before.startswith("    "):
                found += [".. list-table::", "    :header-rows: 1", ""]
            if set(cells[0]) != {"-"}:
                first, *others = cells
                found += [f"    * - {first}"]
                found += [f"      - {cell}" for cell in others]
        else:
            formula = line.startswith("    ") and not title
            if formula and not before:
                found += ["::", ""]
            found.append(line)
            if line and not line.startswith(" "):
                # What is indented below a title or a point belongs to it.
                title = line if line.endswith(":") or line[0] in "-*" else ""
    lines[:] = found


def _first_page(app, error):
    """Write the page that a browser opens with the folder."""
    if error is None:
        page = pathlib.Path(app.outdir, "index.html")
        page.write_text(
            '<!doctype html><meta charset="utf-8"><title>irevnet_tf</title>'
            '<meta http-equiv="refresh" content="0; url=docs/index.html">'
            '<a href="docs/index.html">irevnet_tf</a>\n',
            encoding="utf-8",
        )


def setup(app):
    app.connect("autodoc-skip-member", _skip)
    app.connect("autodoc-process-signature", _signature)
    # Before napoleon, which reads the sections.
    app.connect("autodoc-process-docstring", _as_sphinx_reads_it, priority=100)
    app.connect("build-finished", _first_page)
