"""Pixels of 8 bits are rounded alike, however they were normalised."""

import integer_reference
import numpy as np
import portable_networks
import pytest
from portable_networks import bits

import irevnet_tf
from irevnet_tf.layers import PixelRange
from irevnet_tf.preprocessing import PREPROCESSING
from irevnet_tf.quantization.bits import Bits
from irevnet_tf.quantization.pixels import pixel_offset

ONE = np.float32(1)


def in_many_orders(mode):
    """Yield all pixels of three channels, normalised, float32."""
    scale = PREPROCESSING[mode]
    raw = np.repeat(
        np.arange(scale.maximum + 1, dtype="float32")[:, None], 3, 1
    )
    image = raw[None, :, None]
    yield irevnet_tf.preprocess_input(image, mode)[0, :, 0]
    exact = raw.astype("float64") / scale.maximum
    yield ((exact - scale.mean) / scale.std).astype("float32")
    mean, std = np.float32(scale.mean), np.float32(scale.std)
    yield ((exact - mean) / std).astype("float32")
    top = np.float32(scale.maximum)
    yield (raw - mean * top) / (std * top)
    for unit in (raw / top, raw * (ONE / top)):
        yield (unit - mean) / std
        yield (unit - mean) * (ONE / std)
        yield unit * (ONE / std) - mean / std
        # As a fused operation, rounded once.
        fused = unit.astype("float64") * (ONE / std) - mean / std
        yield fused.astype("float32")


@pytest.mark.parametrize("fraction_bits", [8, 10, 12, 13, 14])
@pytest.mark.parametrize("mode", PREPROCESSING)
def test_all_orders_give_the_same_steps(mode, fraction_bits):
    sizes = Bits(
        weight_bits=8,
        activation_bits=8,
        sum_bits=23,
        fraction_bits=fraction_bits,
        overflow="scale",
    )
    layer = PixelRange(fraction_bits)
    layer.build((None, None, None, 3))
    layer.set_range(-9.0, 9.0, pixel_offset(mode, 3, sizes))
    found = [layer(x[None, :, None]).numpy() for x in in_many_orders(mode)]
    for one in found[1:]:
        np.testing.assert_array_equal(bits(one), bits(found[0]))
    # Of its own scale nothing is lost.
    raw = PREPROCESSING[mode].undo(found[0]).numpy()[0, :, 0]
    if fraction_bits > 8:
        np.testing.assert_array_equal(np.rint(raw)[:, 0], np.arange(len(raw)))


@pytest.mark.parametrize("options", [{}, {"sum_bits": 12}])
def test_pixels_below_0(options):
    """The first block has no threshold in front."""
    ordinary = portable_networks.network("bijective")
    images = portable_networks.images(ordinary.input_shape[1:]) * 4 - 2
    model = irevnet_tf.portable(ordinary, images, verbose=0, **options)
    first = portable_networks.residuals(model)["stage1/block1"]
    assert not first.preactivation
    x2 = irevnet_tf.encoder(model, "stem")(images)[..., 6:]
    a = first.first_activation(x2).numpy()
    assert -127 <= a.min() < -60
    assert 60 < a.max() <= 127
    z = irevnet_tf.encoder(model)(images)
    expected, logits = integer_reference.forward(model, images)
    np.testing.assert_array_equal(bits(z), bits(expected))
    np.testing.assert_array_equal(bits(model(images)), bits(logits))
    restored = irevnet_tf.invert(model)(z)
    np.testing.assert_array_equal(bits(restored), bits(model.layers[1](images)))
