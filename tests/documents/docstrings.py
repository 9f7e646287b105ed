"""Docstrings of public names, by their sections."""

import inspect
import re

from public_modules import PUBLIC_MODULES

# In the order in which docstrings have them.
SECTIONS = (
    "Example",
    "Attributes",
    "Args",
    "Call arguments",
    "Input shape",
    "Output shape",
    "Returns",
    "Yields",
    "Raises",
    "Reference",
)
TITLE = re.compile(r"^(\w+(?: \w+){0,2}):\n(?=\n?(?:    |>>>|```))", re.M)


def public_names():
    """Return {"module.name": value} of all functions and classes, once each."""
    found = {}
    for module in PUBLIC_MODULES:
        for name in module.__all__:
            value = getattr(module, name)
            known = any(value is other for other in found.values())
            if callable(value) and not known:
                found[f"{module.__name__}.{name}"] = value
    return found


def methods(value):
    """Return {name: function} of a class's own documented methods."""
    return {
        name: getattr(member, "__func__", member)
        for name, member in (
            (name, getattr(member, "fget", None) or member)
            for name, member in vars(value).items()
            if not name.startswith("_")
        )
        if inspect.isfunction(getattr(member, "__func__", member))
        and member.__doc__
    }


def first_line(value):
    """Return the first line of a docstring."""
    return inspect.cleandoc(value.__doc__).partition("\n")[0]


def titles(value):
    """Return the titles of a docstring's sections, in their order."""
    return TITLE.findall(inspect.cleandoc(value.__doc__))


def section(value, title):
    """Return the dedented text of a section, or None if there is none."""
    parts = TITLE.split(inspect.cleandoc(value.__doc__))
    found = dict(zip(parts[1::2], parts[2::2], strict=True)).get(title)
    return found if found is None else inspect.cleandoc("\n" + found)


def entries(value, title):
    """Return {name: text} of a section that describes names."""
    text = section(value, title) or ""
    # What follows a section at the margin of the docstring is none of it.
    parts = re.split(r"^(\*{0,2}\w+): ", text, flags=re.M)
    return {
        name: " ".join(text.split())
        for name, text in zip(parts[1::2], parts[2::2], strict=True)
    }
