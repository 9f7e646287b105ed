"""Keras' masks, which a reversible stream does not carry."""

import tensorflow as tf


def without_mask(x):
    """Return a tensor that F cannot tell from one without a mask.

    Layers such as `Masking` and `Embedding(mask_zero=True)` attach a mask to
    the tensor that they return, and attention finds it there by itself. The
    backward pass and the inverse compute their tensors anew, without the mask:
    F would attend to others than in the forward pass. Keras warns of the mask
    where it enters a layer that does not support it, as all of these.

    Args:
        x: tensor. One of the two streams.
    """
    # A new tensor only where it is needed: inference graphs stay as they are.
    return x if getattr(x, "_keras_mask", None) is None else tf.identity(x)
