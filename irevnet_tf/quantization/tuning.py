"""fine_tunable: training a network of integers, and back to integers."""

import keras

from irevnet_tf.layers import AdditiveCoupling
from irevnet_tf.layers import IntegerResidual
from irevnet_tf.layers import ReversibleSequence
from irevnet_tf.layers.straight_through import trained_scales
from irevnet_tf.models.chain import Chain
from irevnet_tf.models.model import find_preprocessing
from irevnet_tf.quantization.bits import Bits
from irevnet_tf.quantization.certificate import certify
from irevnet_tf.quantization.head import integer_dense
from irevnet_tf.quantization.source import assembled
from irevnet_tf.quantization.source import check_source
from irevnet_tf.quantization.source import own_layers
from irevnet_tf.quantization.sums import reach_of


def fine_tunable(model: keras.Model) -> keras.Model:
    """Return a trainable copy of a portable network.

    It computes what `model` computes, to the last bit. Its kernels and shifts
    are floats of the order of 1, and it uses the nearest valid integers, with
    the gradient of the identity (straight-through): it computes with integers
    while it is trained. The scales in front of the residuals stay as they are.
    Only the classifier is an ordinary one meanwhile.
    Training saves memory as in any i-RevNet, with exactly rebuilt inputs.
    `irevnet_tf.portable(trained)` then makes a portable network of it again.

    Example:

    >>> from sklearn.datasets import load_digits
    >>> raw, labels = load_digits().images[..., None], load_digits().target
    >>> x = irevnet_tf.preprocess_input(raw, "digits")
    >>> model = irevnet_tf.IRevNet28(weights="digits", portable=True)
    >>> tuned = irevnet_tf.fine_tunable(model)
    >>> tuned.compile(
    ...     keras.optimizers.SGD(1e-4), "sparse_categorical_crossentropy"
    ... )
    >>> history = tuned.fit(x[:128], labels[:128], verbose=0)
    >>> model = irevnet_tf.portable(tuned)

    Args:
        model: Keras model. What `irevnet_tf.portable` returned.

    Returns:
        A Functional model of the same layers.

    Raises:
        ValueError: if `model` is no portable network, or has other layers.
    """
    certify(model)
    chain, head = check_source(model, portable=True)
    layers = _copied(chain, head, _trainable)
    if isinstance(layers[-1], keras.layers.Dense):
        layers[-1].trainable = True
    return assembled(model, layers, find_preprocessing(chain))


def settled(
    model: keras.Model, chain: Chain, head: list[keras.Layer]
) -> keras.Model:
    """Return the portable network of what `fine_tunable` returned.

    Args:
        model: Keras model. The trained network.
        chain: `Chain`. Its invertible layers.
        head: list of Keras layers. Those behind.
    """
    layers = _copied(chain, head, _fixed)
    if isinstance(layers[-1], keras.layers.Dense):
        kernel, bias = (x.astype("float64") for x in layers[-1].get_weights())
        residual = chain_residual(chain)
        bits = Bits(
            weight_bits=residual.weight_bits,
            activation_bits=residual.activation_bits,
            sum_bits=residual.sum_bits,
            fraction_bits=residual.fraction_bits,
            overflow="scale",
        )
        pool = layers[-2]
        layers[-1] = integer_dense(layers[-1], kernel, bias, pool, bits)
    return assembled(model, layers, find_preprocessing(chain))


def chain_residual(chain: Chain) -> IntegerResidual:
    """Return the first residual of a chain."""
    layers = own_layers(chain)
    return next(x.blocks[0].residual for x in layers if hasattr(x, "blocks"))


def _copied(chain, head, convert):
    """Return copies of all layers, with other residuals."""
    layers = []
    for step, layer in zip(chain.steps, own_layers(chain), strict=True):
        if isinstance(layer, ReversibleSequence):
            blocks = [
                _copied_block(block, convert(block.residual))
                for block in layer.blocks
            ]
            layers.append(
                ReversibleSequence(
                    blocks,
                    memory_saving=layer.memory_saving,
                    on_drift=layer.on_drift,
                    name=layer.name,
                )
            )
            continue
        layers.append(_copy(layer, step.inputs[0].shape))
    layers[0].certificate = None
    shape = chain.output.shape
    for layer in head:
        layers.append(_copy(layer, shape))
        shape = layer.compute_output_shape(shape)
    return layers


def _copy(layer, shape):
    copy = type(layer).from_config(layer.get_config())
    if layer.weights:
        copy.build(shape)
        copy.set_weights(layer.get_weights())
    return copy


def _copied_block(block, residual):
    return AdditiveCoupling(
        residual,
        stride=block.stride,
        zero_channels=block.zero_channels,
        fraction_bits=block.fraction_bits,
        name=block.name,
        dtype=block.dtype_policy,
    )


def _trainable(residual):
    """Return a residual that is trained, which computes the same."""
    made = _like(residual, fine_tuning=True)
    _take_over(made, residual)
    return made


def _fixed(residual):
    """Return a residual of the integers that a trained one computes with."""
    made = _like(residual, fine_tuning=False)
    _take_over(made, residual)
    made.reach.assign(reach_of(made))
    return made


def _like(residual, fine_tuning):
    config = {**residual.get_config(), "fine_tuning": fine_tuning}
    made = IntegerResidual.from_config(config)
    made.build((None, None, None, residual.scale0.shape[0]))
    return made


def _take_over(made, residual):
    for name in ("scale0", "shift0", "reach"):
        getattr(made, name).assign(getattr(residual, name))
    for index, values in enumerate(residual.valid_weights()):
        made.set_unit(index, residual.units[index].numpy())
        if made.fine_tuning:
            scales = trained_scales(made, index)
            values = [x / y for x, y in zip(values, scales, strict=True)]
        made.kernels[index].assign(values[0])
        made.shifts[index].assign(values[1])
