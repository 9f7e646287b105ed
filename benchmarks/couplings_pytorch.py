"""A chain of couplings in PyTorch: plain, with checkpoints, in MemCNN."""

import importlib

import couplings
import torch
import torch.utils.checkpoint
from torch import nn


def warm_up():
    """Start PyTorch, and import what takes a while."""
    importlib.import_module("memcnn")
    torch.nn.Linear(1, 1)(torch.zeros(1, 1))


def start(
    mode,
    depth=100,
    channels=24,
    pixels=32,
    size=64,
    memory_format="contiguous_format",
):
    """As `couplings_tensorflow.start`.

    Args:
        mode: "plain", "checkpoint" or "memcnn".
        depth: int.
        channels: int.
        pixels: int.
        size: int.
        memory_format: a name of PyTorch's for the order of axes.
    """
    images, labels = couplings.batch(size, pixels, channels)
    memory_format = getattr(torch, memory_format)
    images = torch.from_numpy(images.transpose(0, 3, 1, 2).copy())
    images = images.to(memory_format=memory_format)
    labels = torch.from_numpy(labels)
    network = Network(mode, depth, channels).to(memory_format=memory_format)
    optimizer = torch.optim.SGD(network.parameters(), 0.01, momentum=0.9)

    def step():
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(network(images), labels)
        loss.backward()
        optimizer.step()
        return [loss.item()]

    return step


class Network(nn.Module):
    """Couplings and a classifier, with the weights of `couplings`."""

    def __init__(self, mode, depth, channels):
        super().__init__()
        self.mode = mode
        residuals = [
            _residual(kernels) for kernels in couplings.weights(depth, channels)
        ]
        if mode == "memcnn":
            self.blocks = _memcnn_blocks(residuals)
        else:
            self.blocks = nn.ModuleList(map(Coupling, residuals))
        self.classifier = nn.Linear(2 * channels, couplings.CLASSES, bias=False)
        values = torch.from_numpy(couplings.classifier(channels).T.copy())
        self.classifier.weight.data.copy_(values)

    def forward(self, images):
        if self.mode == "memcnn":
            x = images.clone()  # MemCNN frees what it is given.
            for block in self.blocks:
                x = block(x)
            return self.classifier(x.mean((2, 3)))
        streams = images.chunk(2, 1)
        for block in self.blocks:
            if self.mode == "checkpoint":
                streams = torch.utils.checkpoint.checkpoint(
                    block, *streams, use_reentrant=False
                )
            else:
                streams = block(*streams)
        return self.classifier(torch.cat(streams, 1).mean((2, 3)))


class Coupling(nn.Module):
    def __init__(self, residual):
        super().__init__()
        self.residual = residual

    def forward(self, x1, x2):
        return x2, x1 + self.residual(x2)


def _residual(kernels):
    layers = []
    for kernel in kernels:
        channels = kernel.shape[-1]
        convolution = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        values = torch.from_numpy(kernel.transpose(3, 2, 0, 1).copy())
        convolution.weight.data.copy_(values)
        layers += [nn.BatchNorm2d(channels), nn.ReLU(), convolution]
    return nn.Sequential(*layers)


def _memcnn_blocks(residuals):
    """Return blocks of two couplings each, as MemCNN has them.

    Its block computes y1 = x1 + F(x2), y2 = x2 + G(y1): two of ours, whose
    streams are back in their places.
    """
    from memcnn import AdditiveCoupling
    from memcnn import InvertibleModuleWrapper

    return nn.ModuleList(
        InvertibleModuleWrapper(AdditiveCoupling(f, g))
        for f, g in zip(residuals[::2], residuals[1::2], strict=True)
    )
