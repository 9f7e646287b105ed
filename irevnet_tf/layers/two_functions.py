"""The reversible block of two functions, as RevNet and RevViT have it."""

import keras

from irevnet_tf.layers.additive_coupling import AdditiveCoupling
from irevnet_tf.layers.parts import refuse_shared_layers
from irevnet_tf.layers.reversible import ReversibleSequence


def reversible_block(
    f: keras.layers.Layer,
    g: keras.layers.Layer,
    *,
    fraction_bits: int | None = None,
    memory_saving: bool = True,
    on_drift: str = "warn",
    name: str | None = None,
    dtype: str | keras.DTypePolicy | None = None,
) -> ReversibleSequence:
    """Return the block of RevNet and RevViT, which has two residuals.

        forward:  y1 = x1 + F(x2)           y2 = x2 + G(y1)
        inverse:  x2 = y2 - G(y1)           x1 = y1 - F(x2)

    It is two `AdditiveCoupling` layers. A `ReversibleSequence` takes such
    blocks beside couplings, and then saves memory over all of them.

    Example:

    >>> block = irevnet_tf.layers.reversible_block(
    ...     f=keras.layers.Dense(4), g=keras.layers.Dense(4)
    ... )
    >>> x = tf.ones((2, 4)), tf.ones((2, 4))
    >>> x1, x2 = block.inverse(block(x))

    Args:
        f: Keras layer. F, which maps x2 to the shape of x1.
        g: Keras layer. G, which maps y1 to the shape of x2. It must share no
            layer with F.
        fraction_bits: None or int. An int for a lossless block; see
            `AdditiveCoupling`.
        memory_saving: bool. Whether training rebuilds x1 and x2 from y1 and
            y2. In a longer sequence, the setting of the sequence counts.
        on_drift: str. As in `ReversibleSequence`. In a longer sequence, the
            setting of the sequence counts.
        name: None or str. Name of the block. Its couplings are named after it.
        dtype: None or dtype policy. That of the streams, float32 (float64 under
            a float64 policy) by default. F and G may have their own.

    Returns:
        A `ReversibleSequence` of two couplings. It takes a pair (x1, x2) of
        float tensors of the same rank, and returns the pair (y1, y2) of the
        same shapes.

    Raises:
        ValueError: if `f` or `g` is no Keras layer, or they share a layer,
            which may be nested; at build, if one of them returns another shape
            than that of its stream.

    Reference:
        Equation 6 of https://arxiv.org/abs/1707.04585 (RevNet); section 3 of
        https://arxiv.org/abs/2302.04869 (Reversible Vision Transformers).
    """
    for letter, function in (("f", f), ("g", g)):
        if not isinstance(function, keras.layers.Layer):
            raise ValueError(
                f"`{letter}` must be a Keras layer, an instance. "
                f"Received: {letter}={function!r}"
            )
    refuse_shared_layers([f, g], "f and g")
    couplings = [
        AdditiveCoupling(
            residual,
            fraction_bits=fraction_bits,
            name=name and f"{name}_{letter}",
            dtype=dtype,
        )
        for letter, residual in (("f", f), ("g", g))
    ]
    return ReversibleSequence(
        couplings, memory_saving=memory_saving, on_drift=on_drift, name=name
    )
