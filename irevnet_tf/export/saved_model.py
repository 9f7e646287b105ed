"""Exporting both directions of a network as one SavedModel."""

import contextlib
import functools
import os
import pathlib
from collections.abc import Callable
from collections.abc import Sequence

import keras
import tensorflow as tf

from irevnet_tf.export.checks import check_arguments
from irevnet_tf.export.comparison import compare_with_model
from irevnet_tf.export.endpoints import bytes_function
from irevnet_tf.export.endpoints import forward_function
from irevnet_tf.export.endpoints import inverse_function
from irevnet_tf.export.endpoints import reconstruct_function
from irevnet_tf.export.inference import inference_copy
from irevnet_tf.export.inference import without_traces
from irevnet_tf.export.version_directory import check_directory
from irevnet_tf.export.version_directory import write_model_card
from irevnet_tf.export.version_directory import write_version
from irevnet_tf.export.version_directory import write_warmup_requests
from irevnet_tf.models.inversion import encoder
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
    `outputs`. BatchNorms are folded into a factor and a shift per channel; for
    the same preprocessed images, the results are those of `predict`, to the
    last bit. Later changes of the model do not change the export.

    Example:

    >>> model = irevnet_tf.IRevNet28(weights="fashion_mnist", lossless=True)
    >>> irevnet_tf.export_saved_model(
    ...     model, "models/clothes", class_names="fashion_mnist"
    ... )
    PosixPath('models/clothes/1')

    Args:
        model: Keras model. An i-RevNet, or a Functional or Sequential model
            that extends or holds one.
        directory: str or path. Holds all versions of this model, as
            TensorFlow Serving polls it. The new version is the number above
            the highest one in it. It appears when it is complete: it is
            written under another name, which is removed if anything fails.
        preprocessing: None, str or `Normalization`. What is applied to raw
            images, and undone on images that come back: a mode of
            `irevnet_tf.preprocess_input`, for images from 0 to 255 in every
            mode, or an `irevnet_tf.preprocessing.Normalization`. None: the
            `preprocessing` of the i-RevNet, which is that of its named
            weights, if it was built with any; if that is None, "unit", values
            from 0 to 1.
        image_size: None, int, pair of ints or str. None for the size that the
            model was built for; "dynamic" for all sizes, one in a batch; an
            integer, or (height, width).
        class_names: None, str or sequence of str. A name for every class, or
            a mode of `irevnet_tf.decode_predictions`. None: no `classes`.
        from_logits: None or bool. Whether the model returns logits, which
            become probabilities by a softmax; False says that it returns
            probabilities. None: the last layer decides. One with a softmax or
            sigmoid returns probabilities. A Dense layer without activation
            returns logits if it is the i-RevNet's own or there are
            `class_names`. Other heads return `outputs`, as they are.
        image_bytes: bool. Whether to add `forward_bytes`. Needs a fixed size
            and images with 1 or 3 channels. Of larger files the centre is
            shown, as in testing.
        reconstruct_from: None, str or int. A point for `reconstruct`, as
            `end` of `irevnet_tf.encoder`. None: no such signature.
        warmup: None or bool. Whether to add requests that TensorFlow Serving
            replays as it loads the model. Needs tensorflow-serving-api. None:
            if that is installed.

    Returns:
        The path of the version, `directory/N`. It holds the SavedModel and a
        `model_card.json`.

    Raises:
        ValueError: if `model` is no such model, changes images before its
            first invertible layer, or an argument does not fit it; if it is
            portable, and `certify` refuses it.
        RuntimeError: if the finished SavedModel does not compute the same as
            `model` on a sample image.
        ImportError: with `warmup=True`, if tensorflow-serving-api is not
            installed.
        OSError: if the directory cannot be written to or the disk is full.
    """
    # 1. Check everything, before any work.
    directory = check_directory(directory)
    if tf.distribute.has_strategy():
        raise ValueError(
            "A model must be exported outside of a strategy's scope. "
            f"Received: {tf.distribute.get_strategy()}"
        )
    settings = check_arguments(
        model,
        preprocessing=preprocessing,
        image_size=image_size,
        class_names=class_names,
        from_logits=from_logits,
        image_bytes=image_bytes,
        reconstruct_from=reconstruct_from,
        warmup=warmup,
    )
    with without_traces(model), _disk_errors(directory):
        # 2. Copy the model for inference.
        proven = settings.certificate is not None
        copy = inference_copy(model, settings.image_shape, proven)
        # 3. Make the functions that become signatures.
        functions = _signature_functions(copy, settings)
        # 4. Write a version, which appears when it is complete.
        write = functools.partial(
            _write_files,
            model_name=directory.resolve().name,
            model=model,
            copy=copy,
            functions=functions,
            settings=settings,
        )
        return write_version(directory, write)


def _signature_functions(copy, settings) -> dict[str, Callable]:
    """Return {signature: function}, of all but `forward_bytes`."""
    functions = {
        "forward": forward_function(
            copy,
            settings.normalization,
            settings.output,
            settings.from_logits,
            settings.class_names,
        ),
        "inverse": inverse_function(copy, settings.normalization),
    }
    if settings.reconstruct_from is not None:
        functions["reconstruct"] = reconstruct_function(
            copy, settings.normalization, settings.reconstruct_from
        )
    return functions


def _write_files(folder, model_name, model, copy, functions, settings):
    """Write all files of a version, comparing the SavedModel with the model."""
    _write_saved_model(folder, copy, functions, settings)
    loaded = tf.saved_model.load(str(folder))
    comparison = compare_with_model(loaded, copy, model, settings.normalization)
    requests = 0
    if settings.warmup and comparison.features is not None:
        requests = write_warmup_requests(
            folder,
            model_name,
            loaded.signatures,
            comparison.images,
            comparison.features,
        )
    write_model_card(
        folder,
        copy,
        parameters=model.count_params(),
        signatures=loaded.signatures,
        preprocessing=settings.preprocessing,
        normalization=settings.normalization,
        class_names=settings.class_names,
        reconstruct_from=settings.reconstruct_from,
        inversion_error=comparison.error,
        warmup_requests=requests,
        certificate=settings.certificate and settings.certificate.to_dict(),
    )


def _write_saved_model(folder, copy, functions, settings):
    archive = keras.export.ExportArchive()
    images = tf.TensorSpec((None, *settings.image_shape), "float32", "images")
    inputs = {
        "forward": images,
        "inverse": _features_spec(copy),
        "reconstruct": images,
    }
    traced = {}
    for name, function in functions.items():
        traced[name] = archive.add_endpoint(name, function, [inputs[name]])
    if settings.image_bytes:
        archive.add_endpoint(
            "forward_bytes",
            bytes_function(traced["forward"], settings.image_shape),
            [tf.TensorSpec((None,), tf.string, "image_bytes")],
        )
    archive.write_out(str(folder), verbose=False)


@contextlib.contextmanager
def _disk_errors(directory):
    """Raise an OSError instead of TensorFlow's error when it cannot write.

    Other errors would have shown when the functions were traced.
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
