"""From a model to a copy of it that only infers, for export."""

import keras
import tensorflow as tf

from irevnet_tf.layers import AdditiveCoupling
from irevnet_tf.layers import BatchNormalization
from irevnet_tf.layers import BottleneckResidual
from irevnet_tf.layers import ReversibleSequence
from irevnet_tf.models.chain import copy_layer
from irevnet_tf.models.chain import invertible_part


def inference_copy(model, image_shape) -> keras.Model:
    """Return a flat Functional model that computes what `model` infers.

    It shares the kernels, and has each BatchNorm as the two vectors that it
    comes to in inference: less to load, and less to compute. Nothing is
    reordered beyond that, so results are equal to the last bit. Blocks are
    plain operations instead of traced functions, which other runtimes' and
    Grappler's optimizations do not see through. `irevnet_tf.encoder` and
    `irevnet_tf.invert` take the copy as they take the model.

    Args:
        model: i-RevNet, or a Functional or Sequential model that extends or
            holds one, with one input and one output.
        image_shape: (height, width, channels) of the copy's input, where
            height and width may be None.

    Returns:
        A model with an input `(batch, *image_shape)`.

    Raises:
        ValueError: if `model` is no such model, computes something on images
            before its invertible part, or cannot take images of this shape.
    """
    base, body = check_model(model)
    image = keras.Input(image_shape, dtype=base.input.dtype, name="images")
    try:
        output = _run(model, image, base, {id(layer) for layer in body})
    except ValueError as error:
        raise ValueError(
            "`model` must take images of the shape to be exported. Received: "
            f"model={model.name}, image shape={tuple(image_shape)}: {error}"
        ) from error
    return keras.Model(image, output, name=model.name)


def check_model(model) -> tuple[keras.Model, list]:
    """Return the Functional i-RevNet in `model`, and its invertible layers.

    Raises:
        ValueError: as `inference_copy`, for any shape of images.
    """
    base, body = invertible_part(model)
    for kind in ("inputs", "outputs"):
        if len(getattr(model, kind)) != 1:
            raise ValueError(
                f"`model` must have one input and one output. "
                f"Received: model={model.name} with {kind}="
                f"{[tensor.name for tensor in getattr(model, kind)]}"
            )
    if body[0].input is not base.input:
        raise ValueError(
            "The first layer of `model` must be invertible: what stands "
            "before it could not be undone in the exported inverse. Give it "
            "as `preprocessing`. "
            f"Received: model={model.name} with layers "
            f"{[layer.name for layer in base.layers][:4]}"
        )
    return base, body


def _run(model, x, base, body):
    """Apply a model's layers, or their copies, to a Keras tensor.

    Args:
        model: Functional or Sequential.
        x: Keras tensor.
        base: the model that has the invertible layers.
        body: the `id` of these.
    """

    def copy(layer):
        if id(layer) not in body:
            return _without_statistics(layer)
        if isinstance(layer, ReversibleSequence):
            return _plain_sequence(layer)
        return copy_layer(layer)

    def call(layer, *args, **kwargs):
        if _holds(layer, base):
            return _run(layer, args[0], base, body)
        return layer(*args, **kwargs)

    if isinstance(model, keras.Sequential):
        for layer in model.layers:
            x = call(copy(layer), x)
        return x
    # Keras would compile the clone of a model that is compiled.
    bare = keras.Model(model.input, model.output)
    return keras.models.clone_model(
        bare, input_tensors=x, clone_function=copy, call_function=call
    ).output


def _holds(layer, base):
    return layer is base or (
        isinstance(layer, keras.Model)
        and any(_holds(part, base) for part in layer.layers)
    )


def _plain_sequence(sequence):
    return ReversibleSequence(
        [_plain_coupling(block) for block in sequence.blocks],
        memory_saving=False,
        name=sequence.name,
        dtype=sequence.dtype_policy,
    )


def _plain_coupling(block):
    if type(block.residual) is not BottleneckResidual:
        return block
    residual = keras.Sequential(
        [_without_statistics(layer) for layer in block.residual.layers],
        name=block.residual.name,
    )
    return AdditiveCoupling(
        residual,
        stride=block.stride,
        zero_channels=block.zero_channels,
        fraction_bits=block.fraction_bits,
        name=block.name,
        dtype=block.dtype_policy,
    )


def _without_statistics(layer):
    """Return a BatchNorm as it infers, and any other layer as it is."""
    kinds = (BatchNormalization, keras.layers.BatchNormalization)
    if type(layer) not in kinds or layer.axis != -1:
        return layer
    return InferenceNormalization(layer)


class InferenceNormalization(keras.layers.Layer):
    """What a BatchNorm does in inference: `x * factor + shift`, by channel.

    Args:
        norm: built `keras.layers.BatchNormalization` over the last axis, whose
            values of this moment are taken.

    Input shape:
        `(..., channels)`.

    Output shape:
        Same as the input.
    """

    def __init__(self, norm):
        super().__init__(
            name=norm.name, dtype=norm.dtype_policy, trainable=False
        )
        wide = "float64" if norm.variable_dtype == "float64" else "float32"

        def value(variable):
            return tf.cast(variable.value, wide)

        # The operations of `tf.nn.batch_normalization`, in its order: the
        # results have the same bits.
        factor = tf.math.rsqrt(value(norm.moving_variance) + norm.epsilon)
        if norm.scale:
            factor *= value(norm.gamma)
        if norm.center:
            shift = value(norm.beta) - value(norm.moving_mean) * factor
        else:
            shift = -value(norm.moving_mean) * factor
        self.factor, self.shift = (
            self.add_weight(
                shape=value.shape,
                initializer=lambda shape, dtype, value=value: value,
                dtype=value.dtype.name,
                # BatchNorm computes in float32 under mixed policies, too.
                autocast=False,
                trainable=False,
                name=name,
            )
            for name, value in (("factor", factor), ("shift", shift))
        )

    def build(self, input_shape):
        pass

    def compute_output_shape(self, input_shape):
        return input_shape

    def call(self, inputs, training=None, mask=None):
        # Called with what the BatchNorm in its place was called with.
        x = tf.cast(inputs, self.factor.dtype)
        return tf.cast(x * self.factor + self.shift, self.compute_dtype)
