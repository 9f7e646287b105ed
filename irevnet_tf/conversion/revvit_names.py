"""Translating names of RevViT's parameters to those of SlowFast.

minREV, the authors' short version, has PyTorch's own attention, whose three
projections are one matrix; so has mmpretrain. SlowFast's are separate in the
published configuration, `SEPARATE_QKV`, and one matrix without it.
"""

import dataclasses
import re

import numpy as np

# For each name that the patterns translate in sequence.
_MINREV = (
    (r"patch_embed\.(weight|bias)", r"patch_embed.proj.\1"),
    (r"pos_embeddings", r"pos_embed"),
    (r"layers\.(\d+\..*)", r"rev_backbone.layers.\1"),
    (r"(.*\.F\.attn)\.in_proj_(weight|bias)", r"\1.qkv.\2"),
    (r"(.*\.F\.attn)\.out_proj\.(weight|bias)", r"\1.proj.\2"),
    (r"(.*\.G\.mlp)\.0\.(weight|bias)", r"\1.fc1.\2"),
    (r"(.*\.G\.mlp)\.2\.(weight|bias)", r"\1.fc2.\2"),
    (r"head\.(weight|bias)", r"head.projection.\1"),
)
_MMPRETRAIN = (
    (r"backbone\.patch_embed\.projection\.(.*)", r"patch_embed.proj.\1"),
    (r"backbone\.pos_embed", r"pos_embed"),
    (r"backbone\.layers\.(\d+\..*)", r"rev_backbone.layers.\1"),
    (r"(rev_backbone\.layers\.\d+)\.ln1\.(.*)", r"\1.F.norm.\2"),
    (r"(rev_backbone\.layers\.\d+)\.ln2\.(.*)", r"\1.G.norm.\2"),
    (r"(rev_backbone\.layers\.\d+)\.attn\.(.*)", r"\1.F.attn.\2"),
    (r"(.*)\.ffn\.layers\.0\.0\.(.*)", r"\1.G.mlp.fc1.\2"),
    (r"(.*)\.ffn\.layers\.1\.(.*)", r"\1.G.mlp.fc2.\2"),
    (r"backbone\.ln1\.(.*)", r"norm.\1"),
    (r"head\.fc\.(.*)", r"head.projection.\1"),
)
_FUSED = re.compile(r"(rev_backbone\.layers\.\d+\.F\.attn)\.qkv\.(weight|bias)")


@dataclasses.dataclass(frozen=True)
class Scheme:
    """A published RevViT: its names, and what they tell about the network.

    Attributes:
        name: str. Name of the project.
        epsilons: tuple of three floats. The epsilons of its LayerNorms, as in
            `RevViT`.
        pool_first: None or bool. As in `RevViT`; None for either.
        patterns: tuple of pairs of str. What translates the names.
    """

    name: str
    epsilons: tuple[float, float, float]
    pool_first: bool | None
    patterns: tuple


# SlowFast pools first with `USE_MEAN_POOLING`.
SLOWFAST = Scheme("SlowFast", (1e-6, 1e-6, 1e-6), None, ())
MINREV = Scheme("minREV", (1e-6, 1e-5, 1e-5), True, _MINREV)
MMPRETRAIN = Scheme("mmpretrain", (1e-6, 1e-6, 1e-6), False, _MMPRETRAIN)


def find_scheme(names) -> Scheme:
    """Return whose names these are; SlowFast's, if they are unknown."""
    if any(name.startswith("backbone.") for name in names):
        return MMPRETRAIN
    if any(name.startswith("layers.") for name in names):
        return MINREV
    return SLOWFAST


def translated(
    entries: dict[str, np.ndarray], scheme: Scheme
) -> dict[str, np.ndarray]:
    """Return the parameters under SlowFast's names, projections separate.

    Raises:
        ValueError: if there is a parameter twice, under two names.
    """
    pairs = [
        pair
        for name, array in entries.items()
        for pair in _separate(_translate(name, scheme.patterns), array)
    ]
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = [name for name in found if names.count(name) > 1]
        raise ValueError(
            "`state_dict` must have each entry once, under one name. "
            f"Received: twice {twice[:3]}"
        )
    return found


def _translate(name, patterns):
    for pattern, replacement in patterns:
        found = re.fullmatch(pattern, name)
        if found:
            name = found.expand(replacement)
    return name


def _separate(name, array):
    """Return (name, array) of each projection, if `array` holds three."""
    found = _FUSED.fullmatch(name)
    if not found or array.ndim == 0 or len(array) % 3:
        return [(name, array)]
    prefix, kind = found.groups()
    return [
        (f"{prefix}.{letter}.{kind}", part)
        for letter, part in zip("qkv", np.split(array, 3), strict=True)
    ]
