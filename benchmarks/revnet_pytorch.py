"""MemCNN's RevNet itself, with its memory saving and without."""

import revnet
import torch
from memcnn.models import resnet
from torch import nn


def warm_up():
    """Start PyTorch."""
    torch.nn.Linear(1, 1)(torch.zeros(1, 1))


def start(mode, depth=9, size=64):
    """As `revnet_tensorflow.start`, in mode "memcnn" or "plain"."""
    images, labels = revnet.batch(size)
    images = torch.from_numpy(images.transpose(0, 3, 1, 2).copy())
    labels = torch.from_numpy(labels)
    network = resnet.ResNet(
        resnet.RevBasicBlock,
        [depth] * 3,
        num_classes=revnet.CLASSES,
        channels_per_layer=list(revnet.CHANNELS[depth]),
        strides=[1, 1, 2, 2],
        init_kernel_size=3,
        batch_norm_fix=False,
    )
    _set_weights(network, depth, plain=mode == "plain")
    optimizer = torch.optim.SGD(network.parameters(), 0.01, momentum=0.9)

    def step():
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(network(images), labels)
        loss.backward()
        optimizer.step()
        return [loss.item()]

    return step


def _set_weights(network, depth, plain):
    _set(network.conv1, "stem")
    for stage, unit, _, is_transition in revnet.units(depth):
        block = getattr(network, f"layer{stage}")[unit]
        place = f"{stage}.{unit}"
        if is_transition:
            _set(block.basicblock_sub.conv1, f"{place}.1")
            _set(block.basicblock_sub.conv2, f"{place}.2")
            _set(block.downsample[0], f"{place}.shortcut")
            continue
        coupling = block.revblock._fn
        # The stem's ReLU needs its output, which MemCNN would free.
        block.revblock.keep_input = (stage, unit) == (1, 0)
        for letter, part in (("f", coupling.Fm), ("g", coupling.Gm)):
            _set(part.conv1, f"{place}.{letter}1")
            _set(part.conv2, f"{place}.{letter}2")
        if plain:
            block.revblock = coupling
    shape = tuple(network.fc.weight.shape[::-1])
    values = revnet.kernel("classifier", shape)
    network.fc.weight.data.copy_(torch.from_numpy(values.T.copy()))
    network.fc.bias.data.zero_()


def _set(convolution, name):
    outputs, inputs, height, width = convolution.weight.shape
    values = revnet.kernel(name, (height, width, inputs, outputs))
    values = torch.from_numpy(values.transpose(3, 2, 0, 1).copy())
    convolution.weight.data.copy_(values)
