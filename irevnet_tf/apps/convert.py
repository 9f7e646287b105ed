"""Convert a PyTorch checkpoint of an i-RevNet, and compare the two networks.

    irevnet-convert --checkpoint=model.pth.tar --output=model.weights.h5
    irevnet-convert --pytorchcv

The network is recognised by the shapes in the checkpoint. Both networks, in
PyTorch and here, then run on the same random images. If their logits or
features differ by more than --tolerance, nothing is written.

It needs PyTorch: pip install "irevnet_tf[convert]".
"""

import dataclasses
import math
import pathlib

import numpy as np
from absl import app

from irevnet_tf.apps.conversion_flags import WEIGHTS_NAME
from irevnet_tf.apps.conversion_flags import Request
from irevnet_tf.apps.conversion_flags import published_models
from irevnet_tf.apps.conversion_report import comparison_rows
from irevnet_tf.apps.conversion_report import constructor_call
from irevnet_tf.apps.conversion_report import description
from irevnet_tf.apps.conversion_report import recognised_rows
from irevnet_tf.apps.flags import define_flags
from irevnet_tf.apps.flags import from_flags
from irevnet_tf.apps.launch import launch
from irevnet_tf.apps.launch import print_rows
from irevnet_tf.apps.launch import refuse_arguments
from irevnet_tf.apps.launch import say
from irevnet_tf.apps.launch import usage_errors
from irevnet_tf.apps.waiting import waiting
from irevnet_tf.atomic import replacing
from irevnet_tf.atomic import require_replaceable
from irevnet_tf.conversion.architecture import infer_architecture
from irevnet_tf.conversion.checkpoint import import_torch
from irevnet_tf.conversion.checkpoint import read_checkpoint
from irevnet_tf.conversion.comparison import compare_networks
from irevnet_tf.conversion.comparison import comparison_image_size
from irevnet_tf.conversion.pytorch import convert_state_dict
from irevnet_tf.conversion.pytorchcv import fetch_checkpoint
from irevnet_tf.zoo.files import load_weights_file
from irevnet_tf.zoo.record import WeightsRecord
from irevnet_tf.zoo.registry import SUFFIX
from irevnet_tf.zoo.registry import converted_file
from irevnet_tf.zoo.registry import converted_record_file
from irevnet_tf.zoo.registry import file_sha256
from irevnet_tf.zoo.registry import weights_records
from irevnet_tf.zoo.registry import write_converted_record

# The largest error of a pixel, of images with standard deviation 1, that a
# network in floats has; 1e-5 and less are usual.
USUAL_INVERSION_ERROR = 1e-2
# Top-1 accuracy on ImageNet, as pytorchcv 0.0.74 states it of this file. They
# are not the authors' weights, but that project's own.
PYTORCHCV_ACCURACY = {"irevnet301-0752-d378865f.pth": 0.7569}


def convert(request: Request) -> pathlib.Path:
    """Convert a checkpoint, print the comparison, and write the weights.

    Args:
        request: `Request`. What to convert.

    Returns:
        The path of the weights file.

    Raises:
        app.UsageError: if anything is not as it should be; then no file is
            written.
    """
    _check_request(request)
    with usage_errors():
        import_torch()
        checkpoint = pathlib.Path(
            fetch_checkpoint() if request.pytorchcv else request.checkpoint
        )
        say(f"Reading {checkpoint}")
        with waiting("Reading"):
            state_dict = read_checkpoint(checkpoint)
        psi = request.initial_downsampling
        architecture = infer_architecture(
            state_dict, request.image_channels, psi
        )
        size = comparison_image_size(architecture, request.image_size)
    _check_model(request, architecture)
    record = _record(architecture)
    output = _output(request, record)
    print_rows(recognised_rows(architecture))

    say("Building the network and loading the parameters")
    with usage_errors(), waiting("Building"):
        model = architecture.build(size, classifier_activation=None)
        arrays = convert_state_dict(state_dict, model)
    say("Running both networks")
    with waiting("Running"):
        comparison = compare_networks(model, state_dict, architecture, size)
    print_rows(comparison_rows(model, comparison))
    _check_comparison(comparison, request.tolerance)
    if not comparison.keras_error <= USUAL_INVERSION_ERROR:
        say(
            "WARNING: the two networks agree, but neither gives its images "
            "back. These are hardly the weights of a trained network."
        )
    with usage_errors(), waiting("Writing"):
        digest = _write(
            model, arrays, output, record, _origin(request, checkpoint)
        )
    call = constructor_call(architecture, str(output), size)
    if record and output == converted_file(record):
        call = f'irevnet_tf.{record.model}(weights="{record.name}")'
    print_rows(
        {
            "written to": output,
            "SHA-256": digest,
            "to use it": call,
        }
    )
    return output


def _check_request(request):
    """Refuse flags that cannot succeed, before any work."""
    if (request.checkpoint is None) == (not request.pytorchcv):
        raise app.UsageError(
            "Either --checkpoint or --pytorchcv is needed, and not both. "
            f"Received: --checkpoint={request.checkpoint}, "
            f"--pytorchcv={request.pytorchcv}"
        )
    if request.output is not None:
        _check_output(pathlib.Path(request.output))


def _check_output(path):
    if not path.name.endswith(SUFFIX) or path.name == SUFFIX:
        raise app.UsageError(
            f"--output must be a file that ends in {SUFFIX}. "
            f"Received: --output={path}"
        )
    _check_writable(path)


def _check_writable(path):
    try:
        require_replaceable(path)
    except OSError as error:
        raise app.UsageError(
            f"--output must be a file that can be written, but: {error}. "
            f"Received: --output={path}"
        ) from error


def _check_model(request, architecture):
    if request.model not in (None, architecture.variant):
        raise app.UsageError(
            f"The checkpoint must be of {request.model}. Received: "
            f"{architecture.variant or 'no named network'}, "
            f"{description(architecture)}"
        )


def _output(request, record):
    """Return the path to write, after checking that this is possible."""
    if request.output is not None:
        return pathlib.Path(request.output)
    if record is None:
        raise app.UsageError(
            "--output is needed for a network that has no place of its own; "
            f"only {published_models()} with its classes has one. "
            "Received: --output=None"
        )
    path = converted_file(record)
    for written in (path, converted_record_file(record)):
        _check_writable(written)
    return path


def _record(architecture) -> WeightsRecord | None:
    """Return the registry's record of such weights, if there is one."""
    for record in weights_records():
        if (
            (record.model, record.name) == (architecture.variant, WEIGHTS_NAME)
            and record.classes == architecture.classes
            and record.input_shape[-1] == architecture.image_channels
        ):
            return record
    return None


def _check_comparison(comparison, tolerance):
    """Refuse a converted network whose outputs differ from the original's."""
    for name, difference, largest in (
        ("logits", comparison.logits, comparison.largest_logit),
        ("features", comparison.features, comparison.largest_feature),
    ):
        # Floats are relative: values of 1000 cannot agree to 1e-4.
        allowed = tolerance * max(1.0, largest)
        if not (math.isfinite(largest) and difference <= allowed):
            raise app.UsageError(
                f"The {name} must be finite and differ by at most "
                f"{allowed:g}; nothing was written. Received: a difference of "
                f"{difference:g}, {name} of up to {largest:g}"
            )


def _write(model, arrays, path, record, origin):
    """Write the weights, read them again, and only then name the file.

    Returns:
        The file's SHA-256.
    """
    with replacing(path) as temporary:
        model.save_weights(temporary)
        model.set_weights([np.zeros_like(array) for array in arrays])
        load_weights_file(model, temporary)
        for array, read in zip(arrays, model.get_weights(), strict=True):
            if not np.array_equal(array, read):
                raise OSError(f"{path} does not hold what was written to it.")
        digest = file_sha256(temporary)
        if record and path == converted_file(record):
            write_converted_record(
                dataclasses.replace(record, sha256=digest, **origin)
            )
    return digest


def _origin(request, checkpoint):
    """Return the entries on origin in the record of the converted file."""
    source, flag = "a checkpoint", f"--checkpoint={checkpoint.name}"
    licence, dataset = "that of the checkpoint", "that of the checkpoint"
    accuracy = None
    if request.pytorchcv:
        source, flag = "pytorchcv's model store", "--pytorchcv"
        licence, dataset = "MIT", "imagenet2012"
        accuracy = PYTORCHCV_ACCURACY.get(checkpoint.name)
    digest = file_sha256(checkpoint)
    return {
        "description": f"Converted from {source}.",
        "source": f"{source}: {checkpoint.name}, SHA-256 {digest}",
        "licence": licence,
        "dataset": dataset,
        "command": f"irevnet-convert {flag}",
        "accuracy": accuracy,
        "accuracy_by": accuracy and "pytorchcv",
    }


def main(argv: list[str]) -> None:
    refuse_arguments(argv)
    convert(from_flags(Request))


def run() -> None:
    define_flags(Request)
    launch(main)


if __name__ == "__main__":
    run()
