"""model_card.json: what an exported model is."""

import json
import pathlib
import re
from typing import Any

import keras
import tensorflow as tf

from irevnet_tf.layers import FixedPoint
from irevnet_tf.preprocessing import Normalization
from irevnet_tf.zoo.registry import file_sha256

CARD_FILE = "model_card.json"


def write_model_card(
    directory: pathlib.Path,
    model: keras.Model,
    *,
    parameters: int,
    signatures: dict[str, Any],
    preprocessing: str | Normalization,
    normalization: Normalization,
    class_names: tuple[str, ...] | None,
    reconstruct_from: str | int | None,
    inversion_error: float | None,
    warmup_requests: int,
) -> None:
    """Write `model_card.json`, for people and programs.

    Args:
        directory: of the SavedModel, which is complete.
        model: as `inference_copy` returned it.
        parameters: how many numbers it has, its statistics included.
        signatures: {name: concrete function}.
        preprocessing: as the user named it.
        normalization: what it came to.
        class_names: the classes' names, or None.
        reconstruct_from: the point of `reconstruct`, or None.
        inversion_error: the largest difference of a pixel of a sample image
            that went through both directions of the SavedModel, from 0 to
            255; None if it could not be tried.
        warmup_requests: how many there are.
    """
    bits = {
        layer.fraction_bits
        for layer in model.layers
        if isinstance(layer, FixedPoint)
    }
    files = sorted(path for path in directory.rglob("*") if path.is_file())
    card = {
        "model": model.name,
        "parameters": parameters,
        "lossless": bool(bits),
        "fraction_bits": max(bits, default=None),
        "signatures": {
            name: {
                "inputs": _tensors(function.structured_input_signature[1]),
                "outputs": _tensors(function.structured_outputs),
            }
            for name, function in sorted(signatures.items())
        },
        "preprocessing": {
            "name": preprocessing if isinstance(preprocessing, str) else None,
            "formula": "(images / maximum - mean) / std, by channel",
            "maximum": normalization.maximum,
            "mean": normalization.mean,
            "std": normalization.std,
        },
        "class_names": class_names,
        "reconstruct_from": reconstruct_from,
        "inversion": {
            "largest_pixel_difference": inversion_error,
            "of": "a sample image, 0 to 255, through both directions of this "
            "SavedModel on the machine that exported it",
        },
        "warmup_requests": warmup_requests,
        "sha256": {
            str(path.relative_to(directory)): file_sha256(path)
            for path in files
        },
        "packages": {
            "keras": keras.__version__,
            "tensorflow": tf.__version__,
        },
    }
    text = json.dumps(card, indent=2, allow_nan=False) + "\n"
    # Lists of numbers, such as shapes, in one line each.
    text = re.sub(
        r"\[\s+((?:null|[-+.\de]+)(?:,\s+(?:null|[-+.\de]+))*)\s+\]",
        lambda found: "[" + " ".join(found[1].split()) + "]",
        text,
    )
    (directory / CARD_FILE).write_text(text, encoding="utf-8")


def _tensors(specs):
    return {
        name: {"dtype": spec.dtype.name, "shape": spec.shape.as_list()}
        for name, spec in sorted(specs.items())
    }
