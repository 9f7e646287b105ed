"""Write docs/networks/: a page for each network of a name, from its table.

python tools/write_network_pages.py
"""

import dataclasses
import math
import pathlib

from irevnet_tf.models.resnet_variants import RESNETS
from irevnet_tf.models.resnet_variants import REVNETS
from irevnet_tf.models.transformer_variants import FACTS
from irevnet_tf.models.transformer_variants import SIZES
from irevnet_tf.models.variants import VARIANTS
from irevnet_tf.zoo.registry import weights_records

ROOT = pathlib.Path(__file__).parents[1]
FOLDER = ROOT / "docs" / "networks"
BASELINES = "irevnet_tf.baselines"


@dataclasses.dataclass(frozen=True)
class Built:
    """What is known of a network once it is built.

    Attributes:
        parameters: int. Numbers that are learned.
        representation: tuple of ints. Shape of what stands behind the last
            stage, without the batch, for images of the default size.
    """

    parameters: int
    representation: tuple

    @classmethod
    def of(cls, name: str) -> "Built":
        """Build a network, and look."""
        from irevnet_tf.models.constructors import CONSTRUCTORS

        constructor = CONSTRUCTORS[name]
        parameters = sum(
            math.prod(x.shape) for x in constructor().trainable_variables
        )
        side, channels = image_of(name)
        headless = constructor(False, input_shape=(side, side, channels))
        return cls(parameters, tuple(headless.output_shape[1:]))


@dataclasses.dataclass(frozen=True)
class Family:
    """Networks that one function builds.

    Attributes:
        title: str. Of its part of the index.
        home: str. The module in which users find it.
        builder: str. The function for other sizes.
        inverts: str. What its networks invert, "" if nothing.
        paper: str. Its address.
        guide: str. Path of the page that says more, from docs/networks/.
        table: dict {name: configuration}.
    """

    title: str
    home: str
    builder: str
    inverts: str
    paper: str
    guide: str
    table: dict


def _sizes(prefix):
    words = {"Mini": "for small images", "S": "small", "B": "base"}
    return {
        prefix + size: {
            "description": f"the size {size}, {words[size]}",
            **SIZES[size],
            **FACTS[size],
        }
        for size in SIZES
    }


REVERSIBLE = "../reversible_networks.md"
FAMILIES = (
    Family(
        "i-RevNet",
        "irevnet_tf",
        "IRevNet",
        "the image, from every block",
        "https://arxiv.org/abs/1802.07088",
        "../idea.md",
        VARIANTS,
    ),
    Family(
        "RevNet",
        "irevnet_tf",
        "RevNet",
        "each stage, back to its entrance",
        "https://arxiv.org/abs/1707.04585",
        f"{REVERSIBLE}#revnet-invertible-in-stages",
        REVNETS,
    ),
    Family(
        "RevViT",
        "irevnet_tf",
        "RevViT",
        "back to the tokens",
        "https://arxiv.org/abs/2302.04869",
        f"{REVERSIBLE}#revvit-back-to-the-tokens",
        _sizes("RevViT"),
    ),
    Family(
        "ResNet, a baseline",
        BASELINES,
        "ResNet",
        "",
        "https://arxiv.org/abs/1603.05027",
        REVERSIBLE,
        RESNETS,
    ),
    Family(
        "ViT, a baseline",
        BASELINES,
        "ViT",
        "",
        "https://arxiv.org/abs/2010.11929",
        REVERSIBLE,
        _sizes("ViT"),
    ),
)
PER_STREAM = "channels of each stream"
# What the keys of a configuration are called on a page, in this order.
ROWS = {
    "blocks": "blocks of the stages",
    "depth": "blocks",
    "strides": "strides",
    "channels": "channels",
    "stem_channels": "channels at the entrance",
    "bottleneck": "bottlenecks",
    "width": "values of a token",
    "heads": "heads of attention",
    "patch_size": "side of a patch",
    "initial_downsampling": "downsampling at the entrance",
    "kernel_sizes": "kernels of a block",
    "bottleneck_ratio": "bottleneck ratio",
    "dropout_rate": "dropout",
    "rate": "stochastic depth, as published",
    "classes": "classes",
}


def family_of(name: str) -> Family:
    """Return the family of a network."""
    return next(family for family in FAMILIES if name in family.table)


def image_of(name: str) -> tuple[int, int]:
    """Return side and channels of a network's images, if not told otherwise."""
    spec = family_of(name).table[name]
    return spec["input_size"], spec.get("image_channels", 3)


def page(name: str, built: Built) -> str:
    """Return the page of a network, Markdown."""
    family = family_of(name)
    spec = family.table[name]
    rows = [
        (title, _shown(spec[key])) for key, title in ROWS.items() if key in spec
    ]
    side, channels = image_of(name)
    if family.builder == "IRevNet":
        # Those of RevNets are counted otherwise, in their paper.
        rows = [(x.replace("channels", PER_STREAM), y) for x, y in rows]
    size = math.prod(built.representation)
    pixels = side * side * channels
    rows += [
        ("trainable parameters", f"{built.parameters:,}"),
        ("images, by default", f"{side}x{side}x{channels}"),
        ("representation of these", "x".join(map(str, built.representation))),
        ("inverts", family.inverts or "nothing"),
    ]
    if family.builder == "IRevNet":
        kind = "bijective" if size == pixels else "injective"
        rows.append(("kind", f"{kind}: {pixels:,} values become {size:,}"))
    rows += [
        ("weights", _weights(name)),
        ("paper", f"[{family.paper.split('//')[1]}]({family.paper})"),
    ]
    table = "\n".join(f"| {key} | {value} |" for key, value in rows)
    return (
        f"# {name}\n\nOf the family [{family.builder}]({family.guide}): "
        f"{spec['description']}.\n\n| | |\n|---|---|\n{table}\n\n"
        f"{_example(name, family)}\n"
        f"`{family.home}.{family.builder}(...)` builds other sizes; the "
        f"[reference](../reference/{_reference(family)}) has the arguments.\n"
    )


def index(built: dict[str, Built]) -> str:
    """Return the page that lists all networks, Markdown."""
    text = (
        "# Networks\n\nWritten by `tools/write_network_pages.py` from the "
        "tables of variants in `irevnet_tf/models/`.\n"
        "[Reversible networks](../reversible_networks.md) compares the "
        "families, and [table 1](../studies/table1.md)\ntrains them side by "
        "side.\n"
    )
    for family in FAMILIES:
        text += (
            f"\n## {family.title}\n\n| constructor | what it is | blocks | "
            "images | trainable parameters | weights |\n"
            "|---|---|---|---|---|---|\n"
        )
        for name, spec in family.table.items():
            side, channels = image_of(name)
            blocks = spec.get("blocks", spec.get("depth"))
            text += (
                f"| [`{name}`]({name.lower()}.md) | {spec['description']} | "
                f"{_shown(blocks)} | {side}x{side}x{channels} | "
                f"{built[name].parameters:,} | {_weights(name)} |\n"
            )
    pages = "\n".join(x.lower() for family in FAMILIES for x in family.table)
    cards = "\n".join(
        f"../../weights/{path.stem}"
        for path in sorted((ROOT / "weights").glob("irevnet*.md"))
    )
    return f"{text}\n```{{toctree}}\n:hidden:\n\n{pages}\n{cards}\n```\n"


def _shown(value):
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return "-".join(map(str, value))
    return str(value)


def _weights(name):
    shown = []
    for record in weights_records():
        if record.model != name:
            continue
        portable = ", portable=True" if record.portable else ""
        accuracy = f", {100 * record.accuracy:.2f} %" if record.accuracy else ""
        card = record.file.removesuffix(".weights.h5") + ".md"
        page = "../conversion.md"
        if (ROOT / "weights" / card).exists():
            page = f"../../weights/{card}"
        shown.append(f'[`"{record.name}"{portable}`]({page}){accuracy}')
    return "; ".join(shown) or "none shipped"


def _example(name, family):
    home = family.home.removeprefix("irevnet_tf").lstrip(".")
    called = f"{home}.{name}" if home else name
    lines = ["```python", "import irevnet_tf", ""]
    first = next(iter(family.table))
    if name != first:
        # tests/documents/ runs one page of a family.
        lines.insert(0, f"<!-- not run: the same as for {first}, which is -->")
    lines.append(f"model = irevnet_tf.{called}()")
    if family.builder == "RevNet":
        lines += [
            'encoder = irevnet_tf.encoder(model, "stage3")',
            'decoder = irevnet_tf.invert(model, "stage3")  # to its entrance',
        ]
    elif family.inverts:
        lines += [
            "encoder = irevnet_tf.encoder(model)",
            "decoder = irevnet_tf.invert(model)",
        ]
    return "\n".join([*lines, "```", ""])


def _reference(family):
    page = "baselines" if family.home == BASELINES else "networks"
    return f"{page}.md"


def main():
    FOLDER.mkdir(exist_ok=True)
    built = {}
    for family in FAMILIES:
        for name in family.table:
            built[name] = Built.of(name)
            print(name, built[name])
            (FOLDER / f"{name.lower()}.md").write_text(page(name, built[name]))
    (FOLDER / "index.md").write_text(index(built))


if __name__ == "__main__":
    main()
