"""The checks of a whole network, for `check_invertible`."""

import textwrap

import numpy as np

from irevnet_tf.export.inference import without_traces
from irevnet_tf.testing import network_checks
from irevnet_tf.testing.finding import Broken
from irevnet_tf.testing.finding import DoesNotApply
from irevnet_tf.testing.network import CheckedNetwork
from irevnet_tf.testing.network_checks import Tour
from irevnet_tf.testing.network_gradients import gradients
from irevnet_tf.testing.network_report import NetworkReport
from irevnet_tf.testing.network_report import Point
from irevnet_tf.testing.report import Check
from irevnet_tf.testing.snapshot import Snapshot

# name: (check, the largest error that holds in float32 and wider, in lossless
# networks, and if something computes in half precision)
_CHECKS = {
    "steps": (network_checks.steps, 1e-5, 0.0, 2e-2),
    "inverse": (network_checks.inverse, 1e-4, 0.0, 5e-2),
    "inverse in training": (
        network_checks.inverse_in_training,
        1e-4,
        0.0,
        5e-2,
    ),
    "range": (network_checks.stream_range, 1.0, 1.0, 1.0),
    "state": (network_checks.state, 0.0, 0.0, 0.0),
    "outputs": (network_checks.outputs, 1e-4, 1e-4, 5e-2),
    "graph": (network_checks.graph, 1e-4, 0.0, 5e-2),
    "modes": (network_checks.modes, 1e-4, 0.0, 5e-2),
    "batch size": (network_checks.batch_size, 1e-4, 0.0, 5e-2),
    "gradients": (gradients, 1e-4, 1e-4, 5e-2),
    "files": (network_checks.files, 1e-6, 0.0, 1e-6),
    "invert": (network_checks.invert, 1e-4, 0.0, 5e-2),
}
NETWORK_CHECKS = tuple(_CHECKS)

# Characters of an exception's message in the detail of a check.
_LENGTH = 500


def check_network(model, inputs, names, limits) -> NetworkReport:
    """Run checks of a network, and leave it as it was.

    Args:
        model: built Keras model. It holds a chain of invertible layers.
        inputs: tensor, or structure of tensors. What the model takes.
        names: tuple of strs. The checks to run, of `NETWORK_CHECKS`.
        limits: dict {name: float}. Limits other than the defaults.
    """
    network = CheckedNetwork(model, inputs)
    kind = 1
    if network.fraction_bits is not None:
        kind = 2
    elif network.computes_in_half:
        kind = 3
    limits = {name: row[kind] for name, row in _CHECKS.items()} | limits
    before = Snapshot(model)
    with without_traces(model):
        try:
            tour = Tour(network, limits, before.restore)
            checks = []
            for name in names:
                checks.append(_check(name, tour))
                before.restore()
        finally:
            before.restore()
    return NetworkReport(
        f"{model.name} of {type(model).__name__}",
        tuple(checks),
        tuple(_points(tour)),
        network.limit,
    )


def _check(name, tour):
    function, limit = _CHECKS[name][0], tour.limits[name]
    try:
        value, detail = function(tour)
    except DoesNotApply as reason:
        return Check(name, None, None, None, str(reason))
    except Broken as reason:
        return Check(name, False, None, None, _short(reason))
    except Exception as error:
        text = _short(f"{type(error).__name__}: {error}")
        return Check(name, False, None, None, text)
    if value is None:
        return Check(name, True, None, None, detail)
    return Check(name, value <= limit, value, limit, detail)


def _points(tour):
    for step, in_training in zip(tour.steps, tour.training_steps, strict=True):
        detail = _what_breaks(step, tour) or _what_breaks(in_training, tour)
        yield Point(
            name=step.name,
            kind=type(step.layer).__name__,
            chain=step.chain,
            error=step.error,
            accumulated=step.accumulated,
            training_error=in_training.error,
            training_accumulated=in_training.accumulated,
            largest=step.largest,
            training_largest=in_training.largest,
            breaks=bool(detail),
            detail=detail,
        )


def _what_breaks(step, tour):
    """Return what breaks in a step, an empty string if nothing does."""
    limit = tour.network.limit
    if step.failure:
        return _short(step.failure)
    if step.largest is not None:
        if not np.isfinite(step.largest):
            return "values are not finite"
        if limit is not None and step.largest >= limit:
            return f"values beyond the exact range of {limit:g}"
    if step.error is not None and step.error > tour.limits["steps"]:
        return "its inverse does not return its input"
    return ""


def _short(text):
    return textwrap.shorten(str(text), _LENGTH, placeholder=" ...")
