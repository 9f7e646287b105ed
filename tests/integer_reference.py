"""A portable network in float64 NumPy: its formulas alone, in another order."""

import numpy as np

wide = np.float64


def forward(model, images):
    """Return the representation of normalised images, and logits, float32."""
    *layers, pooling, dense = model.layers[1:]
    x = wide(images)
    for layer in layers:
        x = run(layer, x, back=False)
    features = pooled(pooling, x) / 2**pooling.activation_bits
    logits = features @ wide(dense.kernel) + wide(dense.bias)
    return np.float32(x), np.float32(logits)


def pooled(layer, x):
    a = x * wide(layer.scale) + wide(layer.shift)
    a = np.floor(np.clip(a, 0, 2**layer.activation_bits - 1)).astype(int)
    if layer.pooling == "max":
        return a.max((1, 2))
    n = np.prod(a.shape[1:3])
    return (16 * a.sum((1, 2)) + 2 * n + 1) // (4 * n) / 4


def inverse(model, features):
    """Return the normalised images of a representation, float32."""
    x = wide(features)
    for layer in [model.layers[1], *model.layers[-3:0:-1]]:
        x = run(layer, x, back=True)
    return x.astype("float32")


def run(layer, x, back):
    match type(layer).__name__:
        case "PixelRange":
            scale = 2.0**layer.fraction_bits
            offset = 0.0 if back else wide(layer.offset)
            return np.rint(x * scale + offset) / scale + 0.0  # +0 for -0
        case "InvertibleDownsampling":
            return move(x, layer.block_size, back)
        case "InjectivePadding":
            zeros = [(0, 0)] * 3 + [(0, layer.channels)]
            return x[..., : -layer.channels] if back else np.pad(x, zeros)
        case "ChannelSplit" | "ChannelMerge" as name:
            joined = back == (name == "ChannelSplit")
            return np.concatenate(x, -1) if joined else np.split(x, 2, -1)
        case "ReversibleSequence":
            for block in layer.blocks[:: -1 if back else 1]:
                x = (undo_block if back else run_block)(block, *x)
            return x
    raise NotImplementedError(layer)


def run_block(block, x1, x2):
    y2 = move(x1, block.stride, False) + residual(block.residual, x2)
    return move(x2, block.stride, False), y2


def undo_block(block, y1, y2):
    x2 = move(y1, block.stride, True)
    x2[..., x2.shape[-1] - block.zero_channels :] = 0.0
    return move(y2 - residual(block.residual, x2), block.stride, True), x2


def move(x, b, back):
    if not back:
        parts = [x[:, i::b, j::b] for i, j in np.ndindex(b, b)]
        return np.concatenate(parts, -1)
    n, h, w, c = x.shape
    x = x.reshape(n, h, w, b, b, c // b**2).transpose(0, 1, 3, 2, 4, 5)
    return x.reshape(n, h * b, w * b, c // b**2)


def residual(layer, x):
    low, high = 0, 2**layer.activation_bits - 1
    first = (low, high) if layer.preactivation else (-(high // 2), high // 2)
    a = np.floor(np.clip(x * wide(layer.scale0) + wide(layer.shift0), *first))
    for index, groups in enumerate(layer.groups):
        stride = layer.stride if index == 0 else 1
        unit = wide(layer.units[index]) * (64 if groups > 1 else 1)
        kernels = np.split(wide(layer.kernels[index]), groups, 2)
        parts = np.split(a, groups, -1)
        a = wide(layer.shifts[index])
        for pair in zip(parts, kernels, strict=True):
            a = a + np.floor(convolution(*pair, stride) / unit) * unit
        a = np.floor(a if index == 2 else np.clip(a, low, high))
    return a * 0.5**layer.fraction_bits


def convolution(x, kernel, stride):
    side, (h, w) = kernel.shape[0], x.shape[1:3]
    x = np.pad(x, [(0, 0), *[(side // 2,) * 2] * 2, (0, 0)])
    return sum(
        x[:, i : i + h : stride, j : j + w : stride] @ kernel[i, j]
        for i, j in np.ndindex(side, side)
    )
