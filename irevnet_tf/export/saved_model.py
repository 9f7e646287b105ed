"""One SavedModel with both directions of a network."""

import contextlib
import os
import pathlib
from collections.abc import Sequence

import keras
import tensorflow as tf

from irevnet_tf.export.arguments import check_class_names
from irevnet_tf.export.arguments import check_image_bytes
from irevnet_tf.export.arguments import check_image_shape
from irevnet_tf.export.arguments import check_normalization
from irevnet_tf.export.arguments import check_output
from irevnet_tf.export.endpoints import bytes_function
from irevnet_tf.export.endpoints import forward_function
from irevnet_tf.export.endpoints import inverse_function
from irevnet_tf.export.endpoints import reconstruct_function
from irevnet_tf.export.inference import check_model
from irevnet_tf.export.inference import inference_copy
from irevnet_tf.export.inference import without_traces
from irevnet_tf.export.model_card import write_model_card
from irevnet_tf.export.trial import try_export
from irevnet_tf.export.versions import check_directory
from irevnet_tf.export.versions import write_version
from irevnet_tf.export.warmup import import_serving_api
from irevnet_tf.export.warmup import serving_api_is_installed
from irevnet_tf.export.warmup import write_warmup_requests
from irevnet_tf.layers.downsampling import check_divisible
from irevnet_tf.models.inversion import encoder
from irevnet_tf.models.model import find_preprocessing
from irevnet_tf.preprocessing import Normalization


def export_saved_model(
    model: keras.Model,
    directory: str | os.PathLike,
    *,
    preprocessing: str | Normalization | None = None,
    image_size: int | tuple[int, int] | str | None = None,
    class_names: str | Sequence[str] | None = None,
    from_logits: bool | None = None,
    image_bytes: bool = False,
    reconstruct_from: str | int | None = None,
    warmup: bool | None = None,
) -> pathlib.Path:
    """Export a network to be served: images to classes and features, and back.

    The SavedModel has one copy of the weights and these signatures, all for
    batches of any size:

    - `forward`, which is `serving_default` too: `images`, float32 (batch,
      height, width, channels), raw values from 0 to 255, to `probabilities`
      (batch, classes), `classes`, strings (batch,), the most probable ones, if
      they have names, and `features` (batch, h, w, c), the invertible
      representation;
    - `inverse`: `features` to `images`, raw values, float32, neither rounded
      nor clipped;
    - `forward_bytes`, with `image_bytes`: `image_bytes`, strings (batch,), the
      contents of JPEG or PNG files of any size, to what `forward` returns;
    - `reconstruct`, with `reconstruct_from`: `images` to `images`, through the
      network up to that point and back.

    A model without a classifier returns `features` alone, or its output as
    `outputs`. BatchNorms are exported as what they come to in inference; for
    the same preprocessed images, the results are those of `predict`, to the
    last bit. What is exported is the model of this moment.

    Example:

    >>> model = irevnet_tf.IRevNet28(weights="fashion_mnist", lossless=True)
    >>> irevnet_tf.export_saved_model(
    ...     model, "models/clothes", class_names="fashion_mnist"
    ... )
    PosixPath('models/clothes/1')

    Args:
        model: i-RevNet, or a Functional or Sequential model that extends or
            holds one.
        directory: of all versions of this model, as TensorFlow Serving polls
            it. The version is the number above the highest one in it. It
            appears when it is complete: it is written under another name,
            which is removed if anything fails.
        preprocessing: what raw images go through, and its inverse what comes
            back: a mode of `irevnet_tf.preprocess_input`, for images from 0
            to 255 in every mode, or an
            `irevnet_tf.preprocessing.Normalization`. None: what the
            i-RevNet has as `preprocessing`, which is that of its weights if it
            was built with the weights of a name; if that is None, "unit",
            values from 0 to 1.
        image_size: None for the size that the model was built for; "dynamic"
            for all sizes, one in a batch; an integer, or (height, width).
        class_names: a name for every class, or a mode of
            `irevnet_tf.decode_predictions`. None: no `classes`.
        from_logits: whether the model returns logits, which become
            probabilities by a softmax. None: if its last layer is a Dense
            layer without activation, that of the i-RevNet itself or one with
            `class_names`. Without a softmax or sigmoid, other heads return
            `outputs`, as they are.
        image_bytes: whether to add `forward_bytes`. Needs a fixed size and
            images with 1 or 3 channels. Of larger files the centre is shown,
            as in testing.
        reconstruct_from: a point for `reconstruct`, as `end` of
            `irevnet_tf.encoder`. None: no such signature.
        warmup: whether to add requests that TensorFlow Serving replays as it
            loads the model. Needs tensorflow-serving-api. None: if that is
            installed.

    Returns:
        The path of the version, `directory/N`. It holds the SavedModel and a
        `model_card.json`.

    Raises:
        ValueError: if `model` is no such model, changes images before its
            first invertible layer, or an argument does not fit it.
        RuntimeError: if the finished SavedModel computes something else than
            `model` on a sample image.
        ImportError: with `warmup=True`, if tensorflow-serving-api is not
            installed.
        OSError: if the directory cannot be written to or the disk is full.
    """
    directory = check_directory(directory)
    if tf.distribute.has_strategy():
        raise ValueError(
            "A model must be exported outside of a strategy's scope. "
            f"Received: {tf.distribute.get_strategy()}"
        )
    chain = check_model(model)
    base = chain.model
    if preprocessing is None:
        preprocessing = find_preprocessing(chain) or "unit"
    image_shape = check_image_shape(model, image_size)
    check_divisible(image_shape[:2], chain.downsampling)
    check_image_bytes(image_bytes, image_shape)
    normalization = check_normalization(preprocessing, image_shape[-1])
    output, from_logits = check_output(
        model, base, from_logits, class_names is not None
    )
    class_names = check_class_names(class_names, model, output)
    if warmup is None:
        warmup = serving_api_is_installed()
    elif warmup:
        import_serving_api()
    with without_traces(model), _disk_errors(directory):
        copy = inference_copy(model, image_shape)
        functions = {
            "forward": forward_function(
                copy, normalization, output, from_logits, class_names
            ),
            "inverse": inverse_function(copy, normalization),
        }
        if reconstruct_from is not None:
            functions["reconstruct"] = reconstruct_function(
                copy, normalization, reconstruct_from
            )

        def write(temporary):
            archive = keras.export.ExportArchive()
            images = tf.TensorSpec((None, *image_shape), "float32", "images")
            inputs = {
                "forward": images,
                "inverse": _features_spec(copy),
                "reconstruct": images,
            }
            traced = {}
            for name, function in functions.items():
                traced[name] = archive.add_endpoint(
                    name, function, [inputs[name]]
                )
            if image_bytes:
                traced["forward_bytes"] = archive.add_endpoint(
                    "forward_bytes",
                    bytes_function(traced["forward"], image_shape),
                    [tf.TensorSpec((None,), tf.string, "image_bytes")],
                )
            archive.write_out(str(temporary), verbose=False)
            loaded = tf.saved_model.load(str(temporary))
            trial = try_export(loaded, copy, model, normalization)
            requests = 0
            if warmup and trial.features is not None:
                requests = write_warmup_requests(
                    temporary,
                    directory.resolve().name,
                    loaded.signatures,
                    trial.images,
                    trial.features,
                )
            write_model_card(
                temporary,
                copy,
                parameters=model.count_params(),
                signatures=loaded.signatures,
                preprocessing=preprocessing,
                normalization=normalization,
                class_names=class_names,
                reconstruct_from=reconstruct_from,
                inversion_error=trial.error,
                warmup_requests=requests,
            )

        return write_version(directory, write)


@contextlib.contextmanager
def _disk_errors(directory):
    """Turn what TensorFlow raises when it cannot write into an OSError.

    All else was tried when the functions were traced.
    """
    try:
        yield
    except tf.errors.OpError as error:
        raise OSError(
            f"The SavedModel cannot be written to {directory}: {error.message}"
        ) from error


def _features_spec(model):
    features = encoder(model).output
    return tf.TensorSpec(features.shape, features.dtype, "features")
