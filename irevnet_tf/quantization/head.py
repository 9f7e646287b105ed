"""From a trained head to one of integers, with the same class everywhere."""

from collections.abc import Sequence

import keras
import numpy as np

from irevnet_tf.layers import IntegerPooling
from irevnet_tf.layers.integer_arithmetic import partial_sums
from irevnet_tf.quantization.batches import in_batches
from irevnet_tf.quantization.bits import Bits
from irevnet_tf.quantization.thresholds import Threshold
from irevnet_tf.quantization.thresholds import sample
from irevnet_tf.quantization.thresholds import squared_error
from irevnet_tf.zoo.files import HEAD_POOL

POOLINGS = {
    keras.layers.GlobalAveragePooling2D: "avg",
    keras.layers.GlobalMaxPooling2D: "max",
}


# What sums of a classifier may reach: no algorithm rounds on the way of these.
ROOM = 2.0**23 - 2


def check_head(layers: Sequence[keras.Layer]) -> None:
    """Raise ValueError unless layers are the head of an i-RevNet, or none.

    Args:
        layers: sequence of Keras layers. Those behind the representation.
    """
    kinds = [type(layer) for layer in layers]
    is_pooled = (
        len(kinds) in (3, 4)
        and issubclass(kinds[0], keras.layers.BatchNormalization)
        and kinds[1] is keras.layers.ReLU
        and kinds[2] in POOLINGS
    )
    if kinds and not (is_pooled and kinds[3:] in ([], [keras.layers.Dense])):
        raise ValueError(
            "`model` must end in its representation, in pooled features or in "
            "the classifier that i-RevNets have: make `encoder(model)` "
            "portable, and put other layers behind. Received: a model that "
            f"ends in {[layer.name for layer in layers]}"
        )


def quantize_head(
    layers: Sequence[keras.Layer], representation: np.ndarray, bits: Bits
) -> list[keras.Layer]:
    """Return the layers of integers for a head.

    Args:
        layers: sequence of Keras layers. What `check_head` has passed.
        representation: float32 array (images, height, width, channels). What
            they take, for the images of the calibration.
        bits: `Bits`. How many bits there are.
    """
    if not layers:
        return []
    norm = Threshold.of(layers[0])
    pool = IntegerPooling(
        POOLINGS[type(layers[2])],
        bits.activation_bits,
        scaled=len(layers) == 3,
        name=HEAD_POOL,
    )
    pool.build(representation.shape)
    gain = _set_pool(pool, norm, representation, bits)
    pool.gain.assign(gain)
    if len(layers) == 3:
        return [pool]
    pooled = in_batches(pool, representation).astype("float64")
    # Of what the classifier takes.
    gain = gain * 2.0**bits.activation_bits
    trained = in_batches(
        lambda x: layers[2](layers[1](layers[0](x, training=False))),
        representation,
    )
    dense = layers[3]
    # As in the trained head, on average.
    shift = (trained.mean(axis=0) - pooled.mean(axis=0) * gain) @ dense.kernel
    bias = shift + (dense.bias.numpy() if dense.use_bias else 0.0)
    kernel = dense.kernel.numpy().astype("float64") * gain[:, None]
    made = integer_dense(dense, kernel, bias, pool, bits)
    return [pool, made]


def integer_dense(
    layer: keras.layers.Dense,
    kernel: np.ndarray,
    bias: np.ndarray,
    pool: IntegerPooling,
    bits: Bits,
) -> keras.layers.Dense:
    """Return a Dense layer of integers times powers of two, for integers.

    Args:
        layer: Keras `Dense`. It has the name and the activation.
        kernel: float64 array (inputs, outputs). The weights to round.
        bias: float64 array (outputs,). The bias to round.
        pool: `IntegerPooling`. What it takes.
        bits: `Bits`. How many bits there are.
    """
    unit = pool.output_unit
    heaviest = np.abs(kernel).max(axis=0)
    lives, weight = heaviest > 0, np.abs(bias)
    # A channel without weights has its bias.
    scale = np.where(
        lives,
        bits.largest_weight / np.where(lives, heaviest, 1.0),
        ROOM * unit / np.where(weight > 0, weight, ROOM),
    )
    power = np.floor(np.log2(scale))
    inputs = np.full(len(kernel), pool.largest_output / unit)
    while True:
        integers = np.rint(kernel * 2.0**power)
        offset = np.rint(bias * 2.0**power / unit)
        least, largest = partial_sums(integers, 0 * inputs, inputs)
        sums = np.maximum(-least, largest) + np.abs(offset)
        if np.all(sums < ROOM):
            break
        power = np.where(sums < ROOM, power, power - 1)
    made = keras.layers.Dense(
        layer.units,
        activation=layer.activation,
        name=layer.name,
        dtype="float32",
        # A trained one would no longer be exact.
        trainable=False,
    )
    made.build((None, len(kernel)))
    # Zeros without a sign, which sums of nothing but zeros would have.
    weights = [integers * 0.5**power + 0.0, offset * unit * 0.5**power + 0.0]
    made.set_weights(weights)
    return made


def _set_pool(pool, norm, x, bits):
    """Set scale and shift; return the gain of every pooled integer."""
    excess = norm.excess(sample(x))
    largest = bits.largest_activation
    peaks = np.maximum(excess.max(axis=0), 2.0**-bits.fraction_bits)
    first = np.floor(np.log2(largest / peaks))
    options = np.minimum(
        np.stack([first, first + 1, first + 2]), bits.fraction_bits - 1
    )
    errors = [squared_error(excess, 0.5**p, largest) for p in options]
    power = options[np.argmin(errors, axis=0), np.arange(len(first))]
    grid = 2.0**bits.fraction_bits
    threshold = (np.floor(norm.threshold * grid) + 0.5) / grid
    is_constant = norm.gain == 0
    on = np.where(norm.constant > 0, float(largest), 0.0)
    scale = norm.sign * 2.0**power
    pool.scale.assign(np.where(is_constant, 0.0, scale))
    pool.shift.assign(np.where(is_constant, on, 0.5 - scale * threshold))
    gain = np.where(
        is_constant, norm.constant / largest, norm.gain * 0.5**power
    )
    return gain
