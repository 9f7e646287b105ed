"""The signatures of a SavedModel: making them, and loading them to convert.

Raw images go in, and raw images come out. The functions check shapes
themselves, since callers of a SavedModel may not.
"""

import functools
import os
from collections.abc import Callable
from collections.abc import Iterable

import keras
import tensorflow as tf

from irevnet_tf.models.inversion import encoder
from irevnet_tf.models.inversion import invert
from irevnet_tf.preprocessing import Normalization

# Of `forward`, for model servers.
ALIAS = "serving_default"


def forward_function(
    model: keras.Model,
    normalization: Normalization,
    output: str | None,
    from_logits: bool,
    class_names: tuple[str, ...] | None,
) -> Callable:
    """Return the function of the signature `forward`.

    Args:
        model: Keras model. What `inference_copy` returned.
        normalization: `Normalization`. From raw images to what the model takes.
        output: None or str. The name of what the model returns. None if it
            ends in its representation.
        from_logits: bool. Whether `output` is to be the softmax of what the
            model returns.
        class_names: None or tuple of str. The name of every class.

    Returns:
        A function from raw images, float32 (batch, height, width, channels),
        to a dict of `output`, of `classes`, strings (batch,), where there are
        names, and of `features`, the representation (batch, h, w, c).
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

    The images are neither rounded nor clipped.

    Args:
        model: Keras model. What `inference_copy` returned.
        normalization: `Normalization`. From raw images to what the model takes.
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
        model: Keras model. What `inference_copy` returned.
        normalization: `Normalization`. From raw images to what the model takes.
        point: str or int. As `end` of `irevnet_tf.encoder`.
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
        forward: function. From a batch of images to a dict of tensors.
        image_shape: tuple of ints. Height, width and channels to which
            files are decoded, their centre cut out and resized, as test
            images are.

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


def load_convertible(
    saved_model: str | os.PathLike, signatures: Iterable[str] | None
) -> tuple[tf.Module, list[str]]:
    """Load a SavedModel, and find which signatures can be converted.

    Args:
        saved_model: str or path. The directory of a SavedModel.
        signatures: None or iterable of str. Their names; None for all that
            can be converted and are no alias.

    Returns:
        What `tf.saved_model.load` returns, without which its signatures lose
        their variables, and the names.

    Raises:
        ValueError: if there is no SavedModel, no such signature in it, or
            one that takes strings.
    """
    if not tf.saved_model.contains_saved_model(saved_model):
        raise ValueError(
            "`saved_model` must be the version directory of a SavedModel, as "
            "`export_saved_model` returns it. "
            f"Received: saved_model={os.fspath(saved_model)}"
        )
    loaded = tf.saved_model.load(saved_model)
    convertible = [
        name
        for name, function in loaded.signatures.items()
        if input_spec(function).dtype != tf.string
    ]
    if signatures is None:
        return loaded, [name for name in convertible if name != ALIAS]
    names = signatures if isinstance(signatures, str) else [*signatures]
    if not names or any(name not in loaded.signatures for name in names):
        raise ValueError(
            f"`signatures` must be some of {list(loaded.signatures)}. "
            f"Received: signatures={names!r}"
        )
    if any(name not in convertible for name in names):
        raise ValueError(
            "`signatures` must not read image files: neither converter has "
            "an operation that decodes JPEG or PNG. Convert `forward`, and "
            f"decode before it. Received: signatures={names!r}"
        )
    return loaded, names


def input_spec(function) -> tf.TensorSpec:
    """Return the spec of a signature's input."""
    (spec,) = tf.nest.flatten(function.structured_input_signature)
    return spec


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
