"""A portable network in float64 NumPy, from its formulas alone."""

import numpy as np


def forward(model, images):
    """Return the representation of normalised images, and logits, float32."""
    *layers, pooling, dense = model.layers[1:]
    x = np.asarray(images, "float64")
    for layer in layers:
        x = run(layer, x, back=False)
    logits = pooled(pooling, x) @ wide(dense.kernel) + wide(dense.bias)
    return x.astype("float32"), logits.astype("float32")


def pooled(layer, x):
    top = 2**layer.activation_bits - 1
    a = np.floor(np.clip(x * wide(layer.scale) + wide(layer.shift), 0, top))
    n = a.shape[1] * a.shape[2]
    average = np.floor(a.sum((1, 2)) * 4 / n + 0.5 + 0.25 / n)
    found = a.max((1, 2)) if layer.pooling == "max" else average / 4
    return found * wide(layer.gain) if layer.scaled else found / (top + 1)


def inverse(model, features):
    """Return the normalised images of a representation, float32."""
    x = run(model.layers[1], np.asarray(features, "float64"), back=True)
    for layer in model.layers[-3:0:-1]:
        x = run(layer, x, back=True)
    return x.astype("float32")


def run(layer, x, back):
    match type(layer).__name__:
        case "PixelRange":
            scale = 2.0**layer.fraction_bits
            offset = 0.0 if back else wide(layer.offset)
            return np.rint(x * scale + offset) / scale + 0.0  # +0 for -0
        case "InvertibleDownsampling":
            return (to_space if back else to_depth)(x, layer.block_size)
        case "InjectivePadding":
            zeros = [(0, 0)] * 3 + [(0, layer.channels)]
            return x[..., : -layer.channels] if back else np.pad(x, zeros)
        case "ChannelSplit" | "ChannelMerge" as name:
            halves = back == (name == "ChannelMerge")
            return np.split(x, 2, -1) if halves else np.concatenate(x, -1)
        case "ReversibleSequence":
            for block in layer.blocks[:: -1 if back else 1]:
                x = (undo_block if back else run_block)(block, *x)
            return x


def run_block(block, x1, x2):
    y2 = to_depth(x1, block.stride) + residual(block.residual, x2)
    return to_depth(x2, block.stride), y2


def undo_block(block, y1, y2):
    x2 = to_space(y1, block.stride)
    x2[..., x2.shape[-1] - block.zero_channels :] = 0.0
    return to_space(y2 - residual(block.residual, x2), block.stride), x2


def residual(layer, x):
    top, half = 2**layer.activation_bits - 1, 2 ** (layer.activation_bits - 1)
    first = (0, top) if layer.preactivation else (1 - half, half - 1)
    a = np.clip(x * wide(layer.scale0) + wide(layer.shift0), *first)
    for index, groups in enumerate(layer.groups):
        kernels = np.split(wide(layer.kernels[index]), groups, 2)
        stride = layer.stride if index == 0 else 1
        pairs = zip(np.split(np.floor(a), groups, -1), kernels, strict=True)
        sums = [convolution(*pair, stride) for pair in pairs]
        if groups > 1:
            unit = 64 * wide(layer.units[index])
            sums = [np.floor(x / unit) * unit for x in sums]
        a = sum(sums) + wide(layer.shifts[index])
        a = a if index == 2 else np.clip(a, 0, top)
    return np.floor(a) * 2.0**-layer.fraction_bits


def convolution(x, kernel, stride):
    side, (h, w) = kernel.shape[0], x.shape[1:3]
    x = np.pad(x, [(0, 0), (side // 2,) * 2, (side // 2,) * 2, (0, 0)])
    return sum(
        x[:, i : i + h : stride, j : j + w : stride] @ kernel[i, j]
        for i, j in np.ndindex(side, side)
    )


def to_depth(x, b):
    return np.concatenate([x[:, i::b, j::b] for i, j in np.ndindex(b, b)], -1)


def to_space(y, b):
    n, h, w, c = y.shape
    y = y.reshape(n, h, w, b, b, c // b**2).transpose(0, 1, 3, 2, 4, 5)
    return y.reshape(n, h * b, w * b, c // b**2)


def wide(variable):
    return np.asarray(variable, "float64")
