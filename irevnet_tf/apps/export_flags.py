"""The flags of irevnet-export."""

import dataclasses

from absl import flags

from irevnet_tf.apps.network_source import NetworkRequest
from irevnet_tf.apps.network_source import define_network_flags
from irevnet_tf.export.arguments import DYNAMIC
from irevnet_tf.pixel_normalization import PREPROCESSING


@dataclasses.dataclass(frozen=True, kw_only=True)
class Request(NetworkRequest):
    """The flags, by their names."""

    output: str | None
    preprocessing: str | None
    class_names: str | None
    from_logits: bool | None
    image_size: str | None
    image_bytes: bool
    reconstruct_from: str | None
    warmup: bool | None
    onnx: str | None
    litert: str | None


def define_flags(values: flags.FlagValues = flags.FLAGS) -> None:
    """Define the flags.

    Not on import: other applications have flags of the same names.
    """
    define_network_flags(values)
    flags.DEFINE_string(
        "output",
        None,
        "The model's directory, to which the next version is added.",
        flag_values=values,
    )
    flags.DEFINE_enum(
        "preprocessing",
        None,
        list(PREPROCESSING),
        "What raw images go through; if not given, what the run, the weights "
        "of a name, or the network in the file were trained with. Needed "
        "where none of these tells.",
        flag_values=values,
    )
    flags.DEFINE_string(
        "class_names",
        None,
        "The classes' names, separated by commas, or the name of a data set "
        "of irevnet_tf.decode_predictions. Those of the run or of the weights "
        "of a name if not given.",
        flag_values=values,
    )
    flags.DEFINE_bool(
        "from_logits",
        None,
        "Whether the model returns logits; found out if not given.",
        flag_values=values,
    )
    flags.DEFINE_string(
        "image_size",
        None,
        f"Height and width of the images, as 224 or 224,320, or {DYNAMIC} for "
        "all sizes; the model's own if not given.",
        flag_values=values,
    )
    flags.DEFINE_bool(
        "image_bytes",
        False,
        "Add the signature forward_bytes, for JPEG and PNG files.",
        flag_values=values,
    )
    flags.DEFINE_string(
        "reconstruct_from",
        None,
        "Add the signature reconstruct: to this point, such as stage2, and "
        "back.",
        flag_values=values,
    )
    flags.DEFINE_bool(
        "warmup",
        None,
        "Add warm-up requests for TensorFlow Serving; if not given, where "
        "tensorflow-serving-api is installed.",
        flag_values=values,
    )
    flags.DEFINE_string(
        "onnx",
        None,
        "A directory for ONNX files of the same signatures, too.",
        flag_values=values,
    )
    flags.DEFINE_string(
        "litert",
        None,
        "A .tflite file with the same signatures, for LiteRT, too.",
        flag_values=values,
    )
