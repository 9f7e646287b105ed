"""What is behind portable networks, parts of them, and layers of one's own."""

import keras
import numpy as np
import portable_networks
import pytest
import tensorflow as tf

import irevnet_tf
from irevnet_tf.layers import AdditiveCoupling
from irevnet_tf.layers import IntegerPooling
from irevnet_tf.layers import IntegerResidual
from irevnet_tf.layers import ReversibleSequence


def test_heads_of_ones_own_are_not_certified():
    made = portable_networks.portable("injective")
    assert irevnet_tf.certify(made).logits is not None
    outer = keras.Sequential([made, keras.layers.Dense(3)])
    found = irevnet_tf.certify(outer)
    assert found.logits is found.head is None
    pooled = made.get_layer("head_pool").output
    other = keras.Model(made.input, keras.layers.Dense(3)(pooled))
    found = irevnet_tf.certify(other)
    assert found.logits is found.head is None
    assert "logits           none of integers" in str(found)


def test_pooled_features_are_certified():
    made = portable_networks.portable(
        "injective", {"include_top": False, "pooling": "avg"}
    )
    found = irevnet_tf.certify(made)
    assert found.logits is None
    assert found.head is not None
    pool = made.layers[-1]
    pool.scale.assign(0.3 + 0 * pool.scale)
    with pytest.raises(ValueError, match="powers of two.*in head_pool"):
        irevnet_tf.certify(made)


def test_parts_are_compared_with_the_certificate():
    made = portable_networks.portable("injective")
    part = irevnet_tf.encoder(made, "stage1")
    assert len(irevnet_tf.certify(part).sums) == 6
    kernel = made.get_layer("stage1").blocks[1].residual.kernels[0]
    kernel.assign(0 * kernel)
    with pytest.raises(ValueError, match="Received: other sums"):
        irevnet_tf.certify(part)


class Doubled(AdditiveCoupling):
    """Adds F twice: what the blocks add up to is not known."""

    def couple(self, inputs, fx2):
        return super().couple(inputs, 2.0 * fx2)

    def uncouple(self, outputs, x2, fx2):
        return super().uncouple(outputs, x2, 2.0 * fx2)


class Own(IntegerResidual):
    """A subclass, which may compute anything."""


@pytest.mark.parametrize("kinds", [(Doubled, IntegerResidual), (None, Own)])
def test_subclasses_are_not_portable(kinds):
    coupling = kinds[0] or AdditiveCoupling
    block = coupling(kinds[1](4, bottleneck_ratio=1), fraction_bits=14)
    sequence = ReversibleSequence([block])
    streams = tf.ones((2, 4, 4, 4)), tf.ones((2, 4, 4, 4))
    sequence(streams)
    assert not sequence.is_portable
    with pytest.raises(tf.errors.InvalidArgumentError, match="stay below"):
        sequence((2000.0 * streams[0], streams[1]))


def test_averages_of_images_of_any_size():
    pool = IntegerPooling()
    run = tf.function(
        pool, input_signature=[tf.TensorSpec((None, None, None, 2))]
    )
    assert np.isfinite(run(tf.ones((1, 32, 32, 2)))).all()
    with pytest.raises(tf.errors.InvalidArgumentError, match="up to 1024"):
        run(tf.ones((1, 32, 33, 2)))


def test_fine_tuned_networks_take_no_other_arguments():
    tuned = irevnet_tf.fine_tunable(portable_networks.portable("injective"))
    with pytest.raises(ValueError, match="keeps its numbers of bits"):
        irevnet_tf.portable(tuned, weight_bits=3)
    images = portable_networks.images(tuned.input_shape[1:])
    with pytest.raises(ValueError, match="keeps its numbers of bits"):
        irevnet_tf.portable(tuned, images)


def test_units_that_are_no_powers_of_two_are_not_saved(tmp_path):
    made = portable_networks.portable("injective")
    residual = made.get_layer("stage1").blocks[0].residual
    residual.units[0].assign(0.75 * residual.units[0])
    residual.kernels[0].assign(0.75 * residual.kernels[0])
    with pytest.raises(ValueError, match="times a power of two"):
        made.save_weights(tmp_path / "edited.weights.h5")


def test_f_is_half_an_integer_from_the_next_one():
    """Also in large units, for kernels that round a little on the way."""
    made = portable_networks.portable("gray", sum_bits=14)
    seen = 0
    for model in (made, irevnet_tf.fine_tunable(made)):
        for residual in portable_networks.residuals(model).values():
            _, shift = residual.valid_weights()[2]
            large = residual.units[2].numpy() > 1
            np.testing.assert_array_equal(shift.numpy()[large] % 1, 0.5)
            seen += large.sum()
    assert seen
