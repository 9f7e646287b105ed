"""The functions that a SavedModel offers: raw images in, raw images out.

They check shapes themselves: what calls a SavedModel need not.
"""

import functools
from collections.abc import Callable

import keras
import tensorflow as tf

from irevnet_tf.models.inversion import encoder
from irevnet_tf.models.inversion import invert
from irevnet_tf.preprocessing import Normalization


def forward_function(
    model: keras.Model,
    normalization: Normalization,
    output: str | None,
    from_logits: bool,
    class_names: tuple[str, ...] | None,
) -> Callable:
    """Return the function from raw images to all that is known of them.

    Args:
        model: as `inference_copy` returns it.
        normalization: from raw images to what the model takes.
        output: the name of what the model returns. None if it ends in its
            representation.
        from_logits: whether `output` is to be the softmax of what the model
            returns.
        class_names: the name of every class, or None.

    Returns:
        A function from `images` (batch, height, width, channels) to a dict of
        `output`, of `classes` (batch,), strings, where there are names, and
        of `features`, the representation (batch, h, w, c).
    """
    both = keras.Model(model.input, [model.output, encoder(model).output])

    @_without_custom_gradients
    def forward(images):
        images = tf.ensure_shape(images, model.input_shape)
        result, features = both(normalization.apply(images), training=False)
        outputs = {}
        if output is not None:
            outputs[output] = tf.nn.softmax(result) if from_logits else result
        if class_names is not None:
            best = tf.argmax(result, axis=-1)
            outputs["classes"] = tf.gather(tf.constant(class_names), best)
        return {**outputs, "features": features}

    return forward


def inverse_function(
    model: keras.Model, normalization: Normalization
) -> Callable:
    """Return the function from `features` to {"images": raw images}.

    They are neither rounded nor clipped.
    """
    decode = invert(model)

    @_without_custom_gradients
    def inverse(features):
        features = tf.ensure_shape(features, decode.input_shape)
        images = decode(features, training=False)
        return {"images": normalization.undo(images)}

    return inverse


def reconstruct_function(
    model: keras.Model, normalization: Normalization, point: str | int
) -> Callable:
    """Return the function from `images` to a point and back: {"images": ...}.

    Args:
        model: as `inference_copy` returns it.
        normalization: from raw images to what the model takes.
        point: as `end` of `irevnet_tf.encoder`.
    """
    encode, decode = encoder(model, point), invert(model, point)

    @_without_custom_gradients
    def reconstruct(images):
        images = tf.ensure_shape(images, model.input_shape)
        features = encode(normalization.apply(images), training=False)
        images = decode(features, training=False)
        return {"images": normalization.undo(images)}

    return reconstruct


def bytes_function(
    forward: Callable, image_shape: tuple[int, int, int]
) -> Callable:
    """Return `forward` for the bytes of image files, of any size.

    Args:
        forward: from a batch of images to a dict of tensors.
        image_shape: height, width and channels to which files are decoded,
            their centre cut out and resized, as test images are.

    Returns:
        A function from `image_bytes` (batch,), strings, to a dict of tensors.
    """
    # Here, because irevnet_tf.data imports TFDS, which takes its time.
    from irevnet_tf.data.decoding import central_crop

    def forward_bytes(image_bytes):
        images = tf.map_fn(
            functools.partial(central_crop, image_shape=image_shape),
            image_bytes,
            fn_output_signature=tf.TensorSpec(image_shape, "float32"),
        )
        return forward(images)

    return forward_bytes


def _without_custom_gradients(function):
    """Return `function`, which leaves no custom gradients in its graph.

    What is exported is not differentiated. With them, a SavedModel would hold
    the gradients' functions or warn, when it is loaded, that it does not.
    """

    @functools.wraps(function)
    def wrapper(*args):
        outputs = function(*args)
        for operation in tf.compat.v1.get_default_graph().get_operations():
            if "_gradient_op_type" in operation.node_def.attr:
                operation._clear_attr("_gradient_op_type")
        return outputs

    return wrapper
