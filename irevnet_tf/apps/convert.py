"""Convert a PyTorch checkpoint of an i-RevNet, and prove that it is the same.

    irevnet-convert --checkpoint=model.pth.tar --output=model.weights.h5
    irevnet-convert --pytorchcv

The network is recognised by the shapes in the checkpoint. Both networks, in
PyTorch and here, then run on the same random images. If their logits differ
by more than --tolerance, nothing is written.

It needs PyTorch: pip install "irevnet_tf[convert]".
"""

import contextlib
import dataclasses
import hashlib
import pathlib

import keras
import numpy as np
from absl import app
from absl import flags

from irevnet_tf.apps.conversion_report import constructor_call
from irevnet_tf.apps.conversion_report import description
from irevnet_tf.apps.conversion_report import print_rows
from irevnet_tf.apps.conversion_report import proof_rows
from irevnet_tf.apps.conversion_report import recognised_rows
from irevnet_tf.apps.conversion_report import say
from irevnet_tf.apps.launch import launch
from irevnet_tf.apps.launch import refuse_arguments
from irevnet_tf.atomic import replacing
from irevnet_tf.atomic import require_replaceable
from irevnet_tf.models.variants import VARIANTS
from irevnet_tf.pretrained.architecture import INITIAL_DOWNSAMPLINGS
from irevnet_tf.pretrained.architecture import infer_architecture
from irevnet_tf.pretrained.checkpoint import import_torch
from irevnet_tf.pretrained.checkpoint import read_checkpoint
from irevnet_tf.pretrained.files import load_weights_file
from irevnet_tf.pretrained.proof import proof_image_size
from irevnet_tf.pretrained.proof import prove
from irevnet_tf.pretrained.pytorch import convert_state_dict
from irevnet_tf.pretrained.pytorchcv import fetch_checkpoint
from irevnet_tf.pretrained.record import WeightsRecord
from irevnet_tf.pretrained.registry import SUFFIX
from irevnet_tf.pretrained.registry import converted_file
from irevnet_tf.pretrained.registry import file_sha256
from irevnet_tf.pretrained.registry import weights_records
from irevnet_tf.pretrained.registry import write_converted_record

# What is converted has this name where it is of the published architecture.
WEIGHTS_NAME = "imagenet"
# Top-1 accuracy on ImageNet, as pytorchcv 0.0.74 states it of this file. They
# are not the authors' weights, but that project's own.
PYTORCHCV_ACCURACY = {"irevnet301-0752-d378865f.pth": 0.7569}


@dataclasses.dataclass(frozen=True)
class Request:
    """The flags, by their names."""

    checkpoint: str | None
    pytorchcv: bool
    output: str | None
    model: str | None
    image_channels: int
    initial_downsampling: int | None
    image_size: int | None
    tolerance: float

    @classmethod
    def from_flags(cls, values: flags.FlagValues) -> "Request":
        names = [field.name for field in dataclasses.fields(cls)]
        return cls(**{name: values[name].value for name in names})


def define_flags(values: flags.FlagValues = flags.FLAGS) -> None:
    """Define the flags.

    Not on import: other applications have flags of the same names.
    """
    flags.DEFINE_string(
        "checkpoint",
        None,
        "The .pth.tar or .pth file: a checkpoint of the authors' code, or a "
        "state dict of theirs or of pytorchcv's network.",
        flag_values=values,
    )
    flags.DEFINE_bool(
        "pytorchcv",
        False,
        "Instead of --checkpoint: fetch irevnet301 through pytorchcv's model "
        "store, which needs a network.",
        flag_values=values,
    )
    flags.DEFINE_string(
        "output",
        None,
        f"The {SUFFIX} file to write. For {_published()} with its classes: "
        "where the constructor looks for it, if not given.",
        flag_values=values,
    )
    flags.DEFINE_enum(
        "model",
        None,
        sorted(VARIANTS),
        "Which network it must be; any if not given.",
        flag_values=values,
    )
    flags.DEFINE_integer(
        "image_channels",
        3,
        "Channels of the images that the network takes.",
        lower_bound=1,
        flag_values=values,
    )
    flags.DEFINE_enum(
        "initial_downsampling",
        None,
        list(map(str, INITIAL_DOWNSAMPLINGS)),
        "The psi at the entrance, 1 for none. Only needed where the first "
        "stage has stride 1, and it is not the usual one.",
        flag_values=values,
    )
    flags.DEFINE_integer(
        "image_size",
        None,
        "Height and width of the images to compare the networks on.",
        lower_bound=1,
        flag_values=values,
    )
    flags.DEFINE_float(
        "tolerance",
        1e-4,
        "By how much logits may differ; of those beyond 1, which part of the "
        "largest.",
        lower_bound=0.0,
        flag_values=values,
    )


def convert(request: Request) -> pathlib.Path:
    """Convert a checkpoint, print the proof, and write the weights.

    Args:
        request: What to convert.

    Returns:
        The path of the weights file.

    Raises:
        app.UsageError: if anything is not as it should be; then no file is
            written.
    """
    _check_request(request)
    with _usage_errors():
        import_torch()
        checkpoint = pathlib.Path(
            fetch_checkpoint() if request.pytorchcv else request.checkpoint
        )
        say(f"Reading {checkpoint}")
        state_dict = read_checkpoint(checkpoint)
        psi = request.initial_downsampling
        architecture = infer_architecture(
            state_dict, request.image_channels, psi and int(psi)
        )
        size = proof_image_size(architecture, request.image_size)
    _check_model(request, architecture)
    record = _record(architecture)
    output = _output(request, record)
    print_rows(recognised_rows(architecture))

    say("Building the network and loading the parameters")
    model = architecture.build(size, classifier_activation=None)
    with _usage_errors():
        arrays = convert_state_dict(state_dict, model)
    say("Running both networks")
    proof = prove(model, state_dict, architecture, size)
    print_rows(proof_rows(model, proof))
    # Floats are relative: logits of 1000 cannot agree to 1e-4.
    allowed = request.tolerance * max(1.0, proof.largest_logit)
    if not proof.logits <= allowed:
        raise app.UsageError(
            f"The logits must differ by at most {allowed:g}; nothing "
            f"was written. Received: a difference of {proof.logits:g}, logits "
            f"of up to {proof.largest_logit:g}"
        )
    with _usage_errors():
        _write(model, arrays, output)
        if record:
            origin = _origin(request, checkpoint)
            write_converted_record(output, record, **origin)
    call = constructor_call(architecture, str(output), size)
    if record and output == converted_file(record):
        call = f'irevnet_tf.{record.model}(weights="{record.name}")'
    print_rows(
        {
            "written to": output,
            "SHA-256": file_sha256(output),
            "to use it": call,
        }
    )
    return output


def _check_request(request):
    """Refuse what cannot succeed, before any work."""
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
    """Return where to write, having found out that this is possible."""
    if request.output is not None:
        return pathlib.Path(request.output)
    if record is None:
        raise app.UsageError(
            "--output is needed for a network that has no place of its own; "
            f"only {_published()} with its classes has one. "
            "Received: --output=None"
        )
    path = converted_file(record)
    _check_output(path)
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


def _published():
    return " or ".join(
        record.model
        for record in weights_records()
        if record.name == WEIGHTS_NAME
    )


def _write(model: keras.Model, arrays: list[np.ndarray], path: pathlib.Path):
    """Write the weights, and read them again before they get their name."""
    with replacing(path) as temporary:
        model.save_weights(temporary)
        load_weights_file(model, temporary)
        for array, read in zip(arrays, model.get_weights(), strict=True):
            if not np.array_equal(array, read):
                raise OSError(f"{path} does not hold what was written to it.")


def _origin(request, checkpoint):
    """Return what the record of the converted file says of its origin."""
    digest = hashlib.sha256(checkpoint.read_bytes()).hexdigest()
    source, flag = "a checkpoint", f"--checkpoint={checkpoint.name}"
    accuracy = None
    if request.pytorchcv:
        source, flag = "pytorchcv's model store", "--pytorchcv"
        accuracy = PYTORCHCV_ACCURACY.get(checkpoint.name)
    return {
        "description": f"Converted from {source}.",
        "source": f"{source}: {checkpoint.name}, SHA-256 {digest}",
        "command": f"irevnet-convert {flag}",
        "accuracy": accuracy,
        "accuracy_by": accuracy and "pytorchcv",
    }


@contextlib.contextmanager
def _usage_errors():
    """Show a user what is wrong with the input, rather than a traceback."""
    try:
        yield
    except (ImportError, OSError, ValueError) as error:
        raise app.UsageError(str(error)) from error


def main(argv: list[str]) -> None:
    refuse_arguments(argv)
    convert(Request.from_flags(flags.FLAGS))


def run() -> None:
    define_flags()
    launch(main)


if __name__ == "__main__":
    run()
