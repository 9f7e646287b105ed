"""The output of irevnet-convert."""

import keras
import numpy as np

from irevnet_tf.conversion.architecture import Architecture
from irevnet_tf.conversion.comparison import Comparison


def description(architecture: Architecture) -> str:
    """Return the arguments of a network in one line."""

    def join(values):
        return "-".join(map(str, values))

    return (
        f"blocks {join(architecture.blocks)}, "
        f"strides {join(architecture.strides)}, "
        f"channels {join(architecture.channels)}, "
        f"kernels {join(architecture.kernel_sizes)}, "
        f"bottleneck ratio {architecture.bottleneck_ratio}, "
        f"initial downsampling {architecture.initial_downsampling}"
    )


def recognised_rows(architecture: Architecture) -> dict[str, object]:
    """Return what a checkpoint was recognised as."""
    rows = {
        "recognised": architecture.variant or "no named network",
        "architecture": description(architecture),
        "classes": architecture.classes,
    }
    if architecture.assumed:
        rows["assumed"] = (
            f"initial downsampling {architecture.initial_downsampling}: the "
            "shapes do not tell; --initial_downsampling does"
        )
    return rows


def comparison_rows(
    model: keras.Model, comparison: Comparison
) -> dict[str, object]:
    """Return how far the two networks are apart."""
    count, height, width, channels = comparison.image_shape
    parameters = sum(np.prod(v.shape) for v in model.trainable_variables)
    return {
        "parameters": f"{parameters:,}",
        "images": f"{count} of {height}x{width}x{channels}, random",
        "in PyTorch": comparison.reference,
        "difference of logits": (
            f"{comparison.logits:.1e} (largest logit "
            f"{comparison.largest_logit:.1e})"
        ),
        "of features": (
            f"{comparison.features:.1e} (largest feature "
            f"{comparison.largest_feature:.1e})"
        ),
        "of reconstructions": f"{comparison.reconstruction:.1e}",
        "inversion error, PyTorch": f"{comparison.pytorch_error:.1e}",
        "inversion error, Keras": f"{comparison.keras_error:.1e}",
    }


def constructor_call(
    architecture: Architecture, weights: str, image_size: int
) -> str:
    """Return the Python expression that builds the converted network."""
    shape = (image_size, image_size, architecture.image_channels)
    common = (
        f"weights={weights!r}, input_shape={shape}, "
        f"classes={architecture.classes})"
    )
    if architecture.variant:
        return f"irevnet_tf.{architecture.variant}({common}"
    return (
        f"irevnet_tf.IRevNet({architecture.blocks}, {architecture.strides}, "
        f"{architecture.channels}, kernel_sizes={architecture.kernel_sizes}, "
        f"bottleneck_ratio={architecture.bottleneck_ratio}, "
        f"initial_downsampling={architecture.initial_downsampling}, {common}"
    )
