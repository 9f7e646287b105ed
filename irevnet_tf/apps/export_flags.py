"""The flags of irevnet-export."""

import dataclasses

from irevnet_tf.apps.network_source import NetworkRequest
from irevnet_tf.export.checks import DYNAMIC
from irevnet_tf.settings import setting


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
