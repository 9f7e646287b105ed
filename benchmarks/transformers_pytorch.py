"""Reversible transformer blocks in PyTorch: minREV, MemCNN, plain."""

import importlib
import importlib.util
import pathlib

import torch
import transformers
from torch import nn


def warm_up():
    """Start PyTorch, and import what takes a while."""
    importlib.import_module("memcnn")
    torch.nn.Linear(1, 1)(torch.zeros(1, 1))


def start(mode, depth=24, width=192, heads=3, size=16, minrev=None):
    """As `transformers_tensorflow.start`.

    Args:
        mode: "minREV", "minREV plain", "plain" (with the fused attention of
            PyTorch) or "memcnn".
        depth: int.
        width: int.
        heads: int.
        size: int.
        minrev: directory of a checkout of minREV, for the first two modes.
    """
    images, labels = transformers.batch(size)
    images = torch.from_numpy(images.transpose(0, 3, 1, 2).copy())
    labels = torch.from_numpy(labels)
    if mode.startswith("minREV"):
        network = minrev_network(minrev, depth, width, heads)
        network.no_custom_backward = mode == "minREV plain"
    else:
        network = Network(mode, depth, width, heads)
    optimizer = torch.optim.SGD(network.parameters(), 0.01, momentum=0.9)

    def step():
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(network(images), labels)
        loss.backward()
        optimizer.step()
        return [loss.item()]

    return step


def minrev_network(directory, depth, width, heads):
    """Return the network of minREV's `rev.py` with our weights."""
    path = pathlib.Path(directory) / "rev.py"
    spec = importlib.util.spec_from_file_location("minrev", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    network = module.RevViT(
        width, heads, depth, (transformers.PATCH,) * 2, transformers.IMAGE[:2]
    )
    _set_ends(
        width,
        network.patch_embed,
        network.pos_embeddings,
        network.norm,
        network.head,
    )
    residuals = [
        (
            (layer.F.norm, layer.F.attn),
            (layer.G.norm, layer.G.mlp[0], layer.G.mlp[2]),
        )
        for layer in network.layers
    ]
    _set_blocks(width, residuals)
    return network


class Network(nn.Module):
    """The same network with MemCNN's blocks, or with plain ones."""

    def __init__(self, mode, depth, width, heads):
        super().__init__()
        patch = transformers.PATCH
        self.patches = nn.Conv2d(3, width, patch, patch)
        self.positions = nn.Parameter(
            torch.zeros(1, transformers.TOKENS, width)
        )
        self.norm = nn.LayerNorm(2 * width, transformers.EPSILON)
        self.classifier = nn.Linear(2 * width, transformers.CLASSES)
        residuals = [
            (Attention(width, heads), Mlp(width)) for _ in range(depth)
        ]
        _set_ends(
            width, self.patches, self.positions, self.norm, self.classifier
        )
        _set_blocks(
            width,
            [((f.norm, f.attend), (g[0], g[1], g[3])) for f, g in residuals],
        )
        self.is_memcnn = mode == "memcnn"
        block = _memcnn_block if self.is_memcnn else Block
        self.blocks = nn.ModuleList(block(f, g) for f, g in residuals)

    def forward(self, images):
        x = self.patches(images).flatten(2).transpose(1, 2) + self.positions
        if self.is_memcnn:
            x = torch.cat([x, x], -1)
            for block in self.blocks:
                x = block(x)
        else:
            streams = x, x
            for block in self.blocks:
                streams = block(*streams)
            x = torch.cat(streams, -1)
        return self.classifier(self.norm(x.mean(1)))


class Block(nn.Module):
    def __init__(self, f, g):
        super().__init__()
        self.f, self.g = f, g

    def forward(self, x1, x2):
        y1 = x1 + self.f(x2)
        return y1, x2 + self.g(y1)


class Attention(nn.Module):
    """Norm and attention, which PyTorch computes in one kernel."""

    def __init__(self, width, heads):
        super().__init__()
        self.norm = nn.LayerNorm(width, transformers.ATTENTION_EPSILON)
        self.attend = nn.MultiheadAttention(width, heads, batch_first=True)

    def forward(self, x):
        x = self.norm(x)
        return self.attend(x, x, x, need_weights=False)[0]


class Mlp(nn.Sequential):
    """Norm and two linear layers."""

    def __init__(self, width):
        hidden = transformers.MLP_RATIO * width
        super().__init__(
            nn.LayerNorm(width, transformers.EPSILON),
            nn.Linear(width, hidden),
            nn.GELU(),
            nn.Linear(hidden, width),
        )


def _memcnn_block(f, g):
    from memcnn import AdditiveCoupling
    from memcnn import InvertibleModuleWrapper

    return InvertibleModuleWrapper(AdditiveCoupling(f, g, split_dim=-1))


def _set_ends(width, patches, positions, norm, classifier):
    ends = transformers.ends(width)
    patches.weight.data.copy_(_tensor(ends["patches"].transpose(3, 2, 0, 1)))
    positions.data.copy_(_tensor(ends["positions"]))
    classifier.weight.data.copy_(_tensor(ends["classifier"].T))
    nn.init.zeros_(patches.bias)
    nn.init.zeros_(classifier.bias)
    norm.eps = transformers.EPSILON


def _set_blocks(width, residuals):
    """Give the weights of `transformers` to a network.

    Args:
        width: int.
        residuals: for each block the norm and the attention of F, and the
            norm and the linear layers of G.
    """
    for (f, g), kernels in zip(
        residuals, transformers.blocks(len(residuals), width), strict=True
    ):
        attend = f[1]
        joint = [kernels[name].T for name in ("query", "key", "value")]
        attend.in_proj_weight.data.copy_(torch.cat(list(map(_tensor, joint))))
        nn.init.zeros_(attend.in_proj_bias)
        for linear, name in (
            (attend.out_proj, "output"),
            (g[1], "expand"),
            (g[2], "reduce"),
        ):
            linear.weight.data.copy_(_tensor(kernels[name].T))
            nn.init.zeros_(linear.bias)


def _tensor(values):
    return torch.from_numpy(values.copy())
