"""encoder and invert: a model's invertible part, and its inverse."""

import keras

from irevnet_tf.layers import FixedPointRounding
from irevnet_tf.layers import Inverse
from irevnet_tf.layers.inverse import share_layer
from irevnet_tf.models.chain import Chain
from irevnet_tf.models.chains import find_chain
from irevnet_tf.models.chains import refuse_other_images


def encoder(model: keras.Model, end: int | str | None = None) -> keras.Model:
    """Return the invertible part of an i-RevNet: images to representation.

    A RevNet can be inverted in parts only. Its encoder runs from the images to
    the point `end`, in front of a part or in it: `invert(model, "stage2")`
    leads back to where `encoder(model, "stage2_entrance")` ends.

    Example:

    >>> model = irevnet_tf.IRevNet28(weights="digits", lossless=True)
    >>> x = np.random.randint(0, 17, (4, 8, 8, 1)) / 16
    >>> representation = irevnet_tf.encoder(model)(x)  # (4, 2, 2, 512)
    >>> x_again = irevnet_tf.invert(model)(representation)
    >>> assert np.array_equal(x_again, x)  # every bit

    Args:
        model: Keras model. An i-RevNet, with or without its classifier; any
            model of such layers from `irevnet_tf.layers`, or of other layers
            with an `inverse` (`layers.InvertibleLayer`); or a model that
            extends one (`keras.Model(base.input, head(base.output))`) or holds
            one (`keras.Sequential([base, head])`).
        end: None, int or str. The point to stop at: the number of a stage, from
            1; the name of a stage, `"stage2"`, of a block, `"stage2_block1"`,
            or of another layer of the invertible part, such as `"stem"`.
            Defaults to the last stage. A network of several invertible parts
            has no default.

    Returns:
        A Functional model that shares the weights. For images
        `(batch, height, width, channels)` it returns the representation
        `(batch, height / d, width / d, channels')`, float32 or wider. It takes
        the input of the i-RevNet: if other layers computed its `input_tensor`,
        they are part of the encoder.

    Raises:
        ValueError: if `model` is no i-RevNet, or has no such `end`; if a layer
            without inverse stands between its invertible ones and no `end` is
            given, or these form several chains side by side; or if only some of
            them are lossless.
    """
    chain = find_chain(model, end).up_to(end)
    refuse_other_images(model, chain)
    model = chain.model
    return keras.Model(model.input, chain.output, name=f"{model.name}_encoder")


def invert(model: keras.Model, start: int | str | None = None) -> keras.Model:
    """Return the inverse of an i-RevNet: representation to images.

    `invert(model)(encoder(model)(x))` is x, up to rounding; to the last bit if
    the network is lossless and x is on its grid. Each layer of the result is
    the `layers.Inverse` of a layer of the model and shares its weights, so it
    follows the model's training.

    A RevNet is inverted from a point in a stage to the entrance of this stage:
    `invert(model, "stage2")` returns what `encoder(model, "stage2_entrance")`
    does. The same holds for other networks with layers without inverse.

    In an injective network some representations belong to no image. The
    inverse resets the channels that padding set to zero.

    Example:

    >>> model = irevnet_tf.IRevNet28(weights="digits")
    >>> x = np.random.randint(0, 17, (4, 8, 8, 1)) / 16
    >>> representation = irevnet_tf.encoder(model, "stage2")(x)
    >>> x_again = irevnet_tf.invert(model, "stage2")(representation)
    >>> assert np.allclose(x_again, x, atol=1e-5)

    Args:
        model: Keras model. An i-RevNet, its `encoder`, or any model that
            `encoder` takes.
        start: None, int or str. The point to start from, as `end` in `encoder`.
            A RevNet has no default.

    Returns:
        A Functional model from representations
        `(batch, height / d, width / d, channels')` to images
        `(batch, height, width, channels)`: what the first invertible layer
        received. This differs from the model's input if the model was built on
        an `input_tensor` that other layers computed, and in parts behind
        layers without inverse.

    Raises:
        ValueError: as `encoder`.
    """
    return inverse_of(find_chain(model, start).up_to(start))


def inverse_of(chain: Chain) -> keras.Model:
    """Return the inverse of a chain, a model from its output to its input."""
    representation = keras.Input(
        chain.output.shape[1:], dtype=chain.output.dtype, name="representation"
    )
    x = representation
    for layer in chain.layers:
        if isinstance(layer, FixedPointRounding):
            # A representation may come from anywhere. One on the grid stays.
            # Twice in this model, so that files have its weights twice.
            layer = share_layer(layer)
            x = Inverse(layer, name="representation_rounded")(x)
    for layer in reversed(chain.layers):
        x = Inverse(layer, name=f"{layer.name}_inverse")(x)
    return keras.Model(representation, x, name=f"{chain.model.name}_inverse")
