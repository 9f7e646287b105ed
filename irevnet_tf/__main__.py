"""Print what is installed: python -m irevnet_tf.

Versions, devices, pretrained weights, and the extras of the package with the
command that installs what is missing.
"""

import collections
import importlib.metadata
import importlib.util
import platform
import re

from irevnet_tf.optional import install_command
from irevnet_tf.version import __version__

LIBRARIES = ("keras", "tensorflow", "numpy")
NEEDED = ("keras", "tensorflow")
NAME = re.compile(r"[\w.-]+")
EXTRA = re.compile(r"""extra\s*==\s*["']([\w-]+)["']""")


def version_of(distribution: str) -> str | None:
    """Return the version that is installed, None if there is none."""
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def extras() -> dict[str, list[str]] | None:
    """Return {extra: the distributions that it lacks here}.

    It is as of the installation of this package: None in a checkout that is
    not installed.
    """
    try:
        requirements = importlib.metadata.requires("irevnet_tf") or []
    except importlib.metadata.PackageNotFoundError:
        return None
    found = {}
    for requirement in requirements:
        if extra := EXTRA.search(requirement):
            missing = found.setdefault(extra[1], [])
            if not _is_met(requirement):
                missing.append(NAME.match(requirement)[0])
    return found


def _is_met(requirement):
    version = version_of(NAME.match(requirement)[0])
    if version is None or importlib.util.find_spec("packaging") is None:
        return version is not None
    # Which Keras needs; the client alone does without.
    from packaging.requirements import Requirement

    return Requirement(requirement).specifier.contains(
        version, prereleases=True
    )


def device_names() -> list[str]:
    """Return the devices that TensorFlow finds, such as "1 CPU"."""
    import tensorflow as tf

    kinds = collections.Counter(
        device.device_type for device in tf.config.list_physical_devices()
    )
    return [f"{count} {kind}" for kind, count in kinds.items()]


def rows() -> dict[str, str]:
    """Return what is installed, {title: in words}."""
    found = {"irevnet_tf": __version__, "Python": platform.python_version()}
    for name in LIBRARIES:
        found[name] = version_of(name) or "not installed"
    if all(importlib.util.find_spec(name) for name in NEEDED):
        from irevnet_tf.zoo.registry import weights_records

        found["devices"] = ", ".join(device_names())
        names = dict.fromkeys(
            f'{record.model}(weights="{record.name}")'
            for record in weights_records()
            if record.sha256 is not None
        )
        found["weights in the package"] = ", ".join(names)
    known = extras()
    if known is None:
        found["extras"] = "not known, since irevnet_tf is not installed"
    for extra, missing in (known or {}).items():
        found[f"extra {extra}"] = "installed"
        if missing:
            found[f"extra {extra}"] = (
                f"lacks {', '.join(missing)}: {install_command(extra)}"
            )
    return found


def main() -> None:
    for title, value in rows().items():
        print(f"{title:23} {value}")
    missing = [x for x in NEEDED if importlib.util.find_spec(x) is None]
    if missing:
        print(
            f"Without {' and '.join(missing)} there is only the client in "
            "irevnet_tf.serving: pip install irevnet_tf"
        )


if __name__ == "__main__":
    main()
