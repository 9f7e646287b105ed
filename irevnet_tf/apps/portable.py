"""Make a trained network portable: the same bits in every runtime.

    irevnet-portable --weights=digits --output=digits.keras
    irevnet-portable --run_dir=runs/clothes --output=clothes.weights.h5
    irevnet-portable --keras_file=tuned.keras --output=portable.keras

The residuals become integers, calibrated on training images of the data set.
What is proven of the result is printed, and written to --certificate. A .keras
file of what irevnet_tf.fine_tunable returned, trained, becomes integers again
without images.
"""

import dataclasses
import pathlib
import sys

import keras
import numpy as np
from absl import app

from irevnet_tf.apps.analysis.samples import draw_images
from irevnet_tf.apps.class_matching import matched_classes
from irevnet_tf.apps.flags import define_flags
from irevnet_tf.apps.flags import from_flags
from irevnet_tf.apps.image_data import load_data
from irevnet_tf.apps.image_data import parse_names
from irevnet_tf.apps.launch import check_writable
from irevnet_tf.apps.launch import launch
from irevnet_tf.apps.launch import print_rows
from irevnet_tf.apps.launch import refuse_arguments
from irevnet_tf.apps.launch import say
from irevnet_tf.apps.launch import usage_errors
from irevnet_tf.apps.network_source import Source
from irevnet_tf.apps.network_source import check_network
from irevnet_tf.apps.network_source import load_network
from irevnet_tf.apps.portable_files import check_output
from irevnet_tf.apps.portable_files import check_weights_file
from irevnet_tf.apps.portable_files import loading_call
from irevnet_tf.apps.portable_files import write_portable
from irevnet_tf.apps.portable_flags import DEFAULTS
from irevnet_tf.apps.portable_flags import Request
from irevnet_tf.apps.portable_flags import given_bits
from irevnet_tf.apps.waiting import waiting
from irevnet_tf.atomic import write_json
from irevnet_tf.data import Dataset
from irevnet_tf.evaluation import Evaluation
from irevnet_tf.evaluation import Evaluator
from irevnet_tf.models.chain import Chain
from irevnet_tf.preprocessing import PREPROCESSING
from irevnet_tf.quantization.bits import Bits
from irevnet_tf.quantization.certificate import Certificate
from irevnet_tf.quantization.certificate import certify
from irevnet_tf.quantization.conversion import portable
from irevnet_tf.quantization.head import check_head
from irevnet_tf.quantization.source import check_source
from irevnet_tf.quantization.source import is_fine_tuned
from irevnet_tf.reconstruction import on_grid
from irevnet_tf.reconstruction import reconstruct
from irevnet_tf.reconstruction import relative_errors

# Of the choice of images, the same in every call.
SEED = 0
BATCH_SIZE = 64
# Test images that are inverted where there are no classes to compare.
INVERTED = 256


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Made:
    """A portable network that was written, and what was found out about it.

    Attributes:
        model: Keras model. The network.
        path: path. Its file.
        certificate: `Certificate`. What is proven of it.
        before: None or `Evaluation`. The accuracy of the network that it was
            made of, on the test images; None for no classifier, or if there is
            no data set.
        after: None or `Evaluation`. Its own accuracy, and its inversion error.
    """

    model: keras.Model
    path: pathlib.Path
    certificate: Certificate
    before: Evaluation | None
    after: Evaluation | None


def make_portable(request: Request) -> Made:
    """Make a network portable, write its file, and print a summary.

    Args:
        request: `Request`. What to make.

    Raises:
        app.UsageError: if anything is not as it should be; then no file is
            written.
    """
    _check_request(request)
    bits = given_bits(request)
    with usage_errors():
        source = load_network(request)
        chain, head = check_source(source.model)
        tuned = is_fine_tuned(chain)
        if not tuned:
            check_head(head)
        elif bits:
            raise app.UsageError(
                "A network in fine-tuning must keep its numbers of bits. "
                f"Received: --{', --'.join(bits)}"
            )
        check_weights_file(request.output, chain, bits)
        dataset = _dataset(request, source, chain, tuned)
        classes = None
        is_classifier = bool(head) and isinstance(head[-1], keras.layers.Dense)
        if is_classifier and dataset is not None:
            names = parse_names(request.class_names) or source.class_names
            classes = matched_classes(source, dataset, names)
        if tuned:
            say("Making integers of what was trained")
            model = portable(source.model)
        else:
            model = _calibrated(request, source, chain, dataset, bits)
        with waiting("Proving"):
            certificate = certify(model)
        before = after = error = None
        if is_classifier and dataset is not None:
            before, after = _evaluations(source.model, model, dataset, classes)
            error = after.inversion_error_max
        elif dataset is not None:
            with waiting("Measuring"):
                error = _inversion_error(model, dataset)
        _require_exact(error)
        path = pathlib.Path(request.output)
        write_portable(model, path)
        if request.certificate is not None:
            write_json(request.certificate, certificate.to_dict())
    rows = {"written to": f"{path}, {path.stat().st_size / 1e6:.1f} MB"}
    if request.certificate is not None:
        rows["certificate"] = request.certificate
    print_rows(
        {
            **rows,
            "accuracy before": _accuracy(before),
            "accuracy after": _accuracy(after),
            "inversion error": "not measured" if error is None else error,
            "to use it": loading_call(model, path, source.name),
        }
    )
    say(f"\n{certificate}")
    return Made(
        model=model,
        path=path,
        certificate=certificate,
        before=before,
        after=after,
    )


def _check_request(request):
    """Refuse flags that cannot succeed, before any work."""
    check_network(request)
    check_output(request.output)
    if request.certificate is not None:
        check_writable("--certificate", request.certificate)
        paths = (request.output, request.certificate)
        if len({pathlib.Path(path).resolve() for path in paths}) == 1:
            raise app.UsageError(
                "--certificate must be another file than --output. "
                f"Received: {request.certificate} for both"
            )
    with usage_errors():
        # They have to fit each other, too.
        Bits(**{**DEFAULTS, **given_bits(request)})


def _dataset(request, source, chain, tuned) -> Dataset | None:
    """Return the data, None if none is needed and none is named."""
    named = request.dataset or source.dataset_name or source.trained
    if tuned and not named:
        return None
    return load_data(request, source, chain)


def _calibrated(request, source, chain: Chain, dataset, bits) -> keras.Model:
    """Return the portable network of a trained one."""
    model = source.model
    mode = _mode(request, source, dataset)
    if mode is not None:
        # So the result will know it, and so will its exports.
        model.preprocessing = mode
    sample = draw_images(dataset, "train", request.images, SEED)
    say(f"Calibrating on {sample.text}")
    return portable(
        model,
        sample.images,
        **bits,
        pixel_range=dataset.normalization.value_range,
        verbose=int(sys.stdout.isatty()),
    )


def _mode(request, source: Source, dataset) -> str | None:
    """Return the name of how images are scaled, None if it has none."""
    known = request.preprocessing or source.preprocessing
    if isinstance(known, str):
        return known
    scale = dataset.normalization
    same = [name for name, x in PREPROCESSING.items() if x == scale]
    return same[0] if same else None


def _evaluations(model, made, dataset, classes):
    """Return what a classifier reaches on the test images, before and after."""
    say(f"Measuring on {dataset.test.count:,} test images")
    for x in (model, made):
        with waiting("Measuring") as progress:
            yield Evaluator(x, inverse=x is made).on(
                dataset, dataset.test, BATCH_SIZE, classes, progress
            )


def _inversion_error(model, dataset) -> float:
    """Return the largest relative error of some test images."""
    images = draw_images(dataset, "test", INVERTED, SEED).images
    errors = relative_errors(on_grid(model, images), reconstruct(model, images))
    return float(np.max(errors))


def _require_exact(error):
    # NaN is not exact, either.
    if error is not None and not error == 0:
        raise app.UsageError(
            "The inverse must return every test image exactly; nothing was "
            f"written. Received: a relative error of {error:.1e}"
        )


def _accuracy(result: Evaluation | None) -> str:
    if result is None:
        return "not measured"
    return (
        f"{result.accuracy:.2%} ({result.correct:,} of {result.images:,} test "
        "images)"
    )


def main(argv: list[str]) -> None:
    refuse_arguments(argv)
    make_portable(from_flags(Request))


def run() -> None:
    define_flags(Request)
    launch(main)


if __name__ == "__main__":
    run()
