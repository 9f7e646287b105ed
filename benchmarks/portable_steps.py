"""A network as a list of steps, for interpreters without TensorFlow.

`describe` reads a model's layers; what it returns consists of lists, dicts,
numbers and NumPy arrays, and `portable_arrays.py` computes with it.
"""

import numpy as np

from irevnet_tf.export.inference_layers import InferenceNormalization
from irevnet_tf.models.chains import find_chain


def describe(model) -> dict[str, list]:
    """Return the steps of a network.

    Args:
        model: Keras model. An i-RevNet, lossless or portable, with its
            classifier.

    Returns:
        {"stream": list of dicts, the invertible layers in order, of which
        "kind" says what each is and the other keys how; "head": list of
        tuples, from the representation to logits: primitive operations, see
        `portable_arrays.Interpreter.compute`}.

    Raises:
        ValueError: if it has a layer that the interpreters do not know.
    """
    chain = find_chain(model)
    stream = [step for layer in chain.layers for step in _stream(layer)]
    names = [layer.name for layer in model.layers]
    behind = model.layers[names.index(chain.layers[-1].name) + 1 :]
    head = [step for layer in behind for step in primitives(layer)]
    return {"stream": stream, "head": head}


def _stream(layer):
    """Yield the steps of an invertible layer."""
    match type(layer).__name__:
        case "FixedPointRounding":
            yield {"kind": "round", "bits": layer.fraction_bits}
        case "PixelRange":
            offset = np.array(layer.offset)
            bits = layer.fraction_bits
            yield {"kind": "unsigned round", "bits": bits, "offset": offset}
        case "InvertibleDownsampling":
            yield {"kind": "downsample", "block": layer.block_size}
        case "InjectivePadding":
            yield {"kind": "pad", "channels": layer.channels}
        case "ChannelSplit":
            yield {"kind": "split"}
        case "ChannelMerge":
            yield {"kind": "merge"}
        case "ReversibleSequence":
            for block in layer.blocks:
                yield _coupling(block)
        case _:
            raise _unknown(layer)


def _coupling(block):
    residual = block.residual
    if type(residual).__name__ == "IntegerResidual":
        # It returns values on the grid already.
        operations, bits = _integer_residual(residual), None
    else:
        layers = residual.layers
        operations = [p for layer in layers for p in primitives(layer)]
        bits = block.fraction_bits
    if bits is not None:
        operations = [*operations, ("round", bits)]
    return {
        "kind": "couple",
        "block": block.stride,
        "zero_channels": block.zero_channels,
        "residual": operations,
    }


def _integer_residual(residual):
    largest = float(2**residual.activation_bits - 1)
    low, high = 0.0, largest
    if not residual.preactivation:
        high = float(2 ** (residual.activation_bits - 1) - 1)
        low = -high
    scale, shift = np.array(residual.scale0), np.array(residual.shift0)
    operations = [("affine", scale, shift), ("clip", low, high), ("floor",)]
    kernels = zip(residual.kernels, residual.shifts, strict=True)
    for index, (kernel, shift) in enumerate(kernels):
        stride, kernel = residual.stride if index == 0 else 1, np.array(kernel)
        groups, unit = (
            residual.groups[index],
            np.array(residual.sum_unit(index)),
        )
        operations.append(("convolve", kernel, stride, groups, unit))
        operations.append(("affine", None, np.array(shift)))
        if index < 2:
            operations.append(("clip", 0.0, largest))
        operations.append(("floor",))
    grid = np.float32(2.0**-residual.fraction_bits)
    return [*operations, ("affine", grid, None)]


def primitives(layer):
    """Yield the operations of a layer that is not invertible.

    Args:
        layer: Keras layer. Part of a residual, or of a head.
    """
    match type(layer).__name__:
        case "BatchNormalization":
            norm = InferenceNormalization(layer)
            yield "affine", np.array(norm.factor), np.array(norm.shift)
        case "ReLU":
            yield "clip", 0.0, np.inf
        case "ZeroPadding2D" | "Dropout":
            pass  # Convolutions pad all sides anyway.
        case "Conv2D":
            yield "convolve", np.array(layer.kernel), layer.strides[0]
        case "GlobalAveragePooling2D":
            yield ("mean",)
        case "IntegerPooling" if layer.pooling == "avg" and not layer.scaled:
            yield "affine", np.array(layer.scale), np.array(layer.shift)
            yield "clip", 0.0, float(2**layer.activation_bits - 1)
            yield ("floor",)
            yield ("integer_mean",)
            yield "affine", np.float32(layer.output_unit), None
        case "Dense":
            yield "multiply", np.array(layer.kernel)
            yield "affine", None, np.array(layer.bias)
        case _:
            raise _unknown(layer)


def _unknown(layer):
    return ValueError(
        "Every layer of the network must be one that the interpreters know. "
        f"Received: {layer.name} of {type(layer)}"
    )
