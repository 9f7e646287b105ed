"""Export a network as a SavedModel: images to classes and features, and back.

    irevnet-export --run_dir=runs/digits --output=models/digits
    irevnet-export --model=IRevNet28 --weights=fashion_mnist \\
        --output=models/clothes --image_bytes
    irevnet-export --keras_file=tuned.keras --output=models/tuned

The model's directory gets a new version, complete or not at all, which
TensorFlow Serving loads. --onnx and --litert write the same signatures for
these runtimes, too.
"""

import dataclasses
import json
import pathlib

from absl import app

from irevnet_tf.apps.flags import define_flags
from irevnet_tf.apps.flags import from_flags
from irevnet_tf.apps.image_data import parse_names
from irevnet_tf.apps.image_data import parse_point
from irevnet_tf.apps.launch import check_writable
from irevnet_tf.apps.launch import launch
from irevnet_tf.apps.launch import print_rows
from irevnet_tf.apps.launch import refuse_arguments
from irevnet_tf.apps.launch import say
from irevnet_tf.apps.launch import usage_errors
from irevnet_tf.apps.network_source import NetworkRequest
from irevnet_tf.apps.network_source import check_network
from irevnet_tf.apps.network_source import load_network
from irevnet_tf.apps.waiting import waiting
from irevnet_tf.export import export_litert
from irevnet_tf.export import export_onnx
from irevnet_tf.export import export_saved_model
from irevnet_tf.export.checks import DYNAMIC
from irevnet_tf.export.comparison import HALF_A_STEP
from irevnet_tf.export.onnx import import_tf2onnx
from irevnet_tf.export.version_directory import CARD_FILE
from irevnet_tf.settings import setting
from irevnet_tf.training import TrainedRun


@dataclasses.dataclass(frozen=True, kw_only=True)
class Request(NetworkRequest):
    """The flags, by their names."""

    output: str | None = setting(
        None, "The model's directory, to which the next version is added."
    )
    class_names: str | None = setting(
        None,
        "The classes' names, separated by commas, or the name of a data set "
        "of irevnet_tf.decode_predictions. Those of the run or of the weights "
        "of a name if not given.",
    )
    from_logits: bool | None = setting(
        None, "Whether the model returns logits; found out if not given."
    )
    image_size: str | None = setting(
        None,
        f"Height and width of the images, as 224 or 224,320, or {DYNAMIC} for "
        "all sizes; the model's own if not given.",
    )
    image_bytes: bool = setting(
        False, "Add the signature forward_bytes, for JPEG and PNG files."
    )
    reconstruct_from: str | None = setting(
        None,
        "Add the signature reconstruct: to this point, such as stage2, and "
        "back.",
    )
    warmup: bool | None = setting(
        None,
        "Add warm-up requests for TensorFlow Serving; if not given, where "
        "tensorflow-serving-api is installed.",
    )
    onnx: str | None = setting(
        None, "A directory for ONNX files of the same signatures, too."
    )
    litert: str | None = setting(
        None, "A .tflite file with the same signatures, for LiteRT, too."
    )


def export_run(trained: TrainedRun, directory: pathlib.Path) -> pathlib.Path:
    """Export the network of a training run, and return the version's path."""
    return export_saved_model(
        trained.model,
        directory,
        preprocessing=trained.dataset.normalization,
        class_names=trained.dataset.class_names,
    )


def export(request: Request) -> pathlib.Path:
    """Export the network that the flags name, and print a summary.

    Args:
        request: `Request`. What to export.

    Returns:
        The path of the version.

    Raises:
        app.UsageError: if anything is not as it should be.
    """
    _check_request(request)
    with usage_errors():
        source = load_network(request)
    preprocessing = request.preprocessing or source.preprocessing
    if preprocessing is None:
        raise app.UsageError(
            "--preprocessing is needed where nothing tells how images were "
            "scaled in training. Received: --preprocessing=None"
        )
    with usage_errors():
        say("Exporting")
        with waiting("Exporting"):
            version = export_saved_model(
                source.model,
                request.output,
                preprocessing=preprocessing,
                image_size=_image_size(request.image_size),
                class_names=parse_names(request.class_names)
                or source.class_names,
                image_bytes=request.image_bytes,
                reconstruct_from=parse_point(request.reconstruct_from),
                warmup=request.warmup,
            )
        print_rows(rows(version))
        if request.onnx is not None:
            say("Converting to ONNX")
            with waiting("Converting"):
                files = export_onnx(version, request.onnx)
            print_rows({"ONNX": ", ".join(map(str, files.values()))})
        if request.litert is not None:
            say("Converting for LiteRT")
            with waiting("Converting"):
                file = export_litert(version, request.litert)
            print_rows({"LiteRT": file})
    return version


def _check_request(request):
    """Refuse flags that cannot succeed, before any work."""
    if request.output is None:
        raise app.UsageError(
            "--output must be a directory. Received: --output=None"
        )
    check_network(request)
    with usage_errors():
        if request.onnx is not None:
            import_tf2onnx()
    if request.onnx is not None:
        check_writable("--onnx", request.onnx, "forward.onnx")
    if request.litert is not None:
        check_writable("--litert", request.litert)


def rows(version: pathlib.Path) -> dict[str, object]:
    """Return the rows to print about an export, from its model card."""
    card = json.loads((version / CARD_FILE).read_text(encoding="utf-8"))
    mode = "ordinary"
    if card["lossless"]:
        mode = f"lossless, {card['fraction_bits']} fraction bits"
    scale = card["preprocessing"]
    found = {
        "exported to": version,
        "mode": mode,
        "preprocessing": scale["name"]
        or f"mean {scale['mean']}, standard deviation {scale['std']}",
        "signatures": ", ".join(card["signatures"]),
    }
    for name in ("forward", "inverse"):
        for kind, tensors in card["signatures"][name].items():
            found[f"{name}, {kind}"] = ", ".join(
                f"{tensor} {_shape(spec)}" for tensor, spec in tensors.items()
            )
    error = card["inversion"]["largest_pixel_difference"]
    back = "not tried"
    if error is not None:
        which = "every" if error < HALF_A_STEP else "NOT every"
        back = f"{which} pixel; before rounding, off by {error:.1e} of 255"
    found["sample images, back"] = back
    found["warm-up requests"] = card["warmup_requests"]
    return found


def _shape(spec):
    sides = ["?" if side is None else str(side) for side in spec["shape"]]
    return f"{spec['dtype']} {'x'.join(sides)}"


def _image_size(text):
    """Return --image_size as `export_saved_model` takes it."""
    sides = (text or "").split(",")
    if not all(side.isdecimal() for side in sides):
        return text
    height, *rest = map(int, sides)
    return (height, *rest) if rest else height


def main(argv: list[str]) -> None:
    refuse_arguments(argv)
    export(from_flags(Request))


def run() -> None:
    define_flags(Request)
    launch(main)


if __name__ == "__main__":
    run()
