"""check_invertible: tests a layer or network for what this package promises."""

import functools
import textwrap
from collections.abc import Iterable

import keras
from numpy.typing import ArrayLike

from irevnet_tf.export.inference import without_traces
from irevnet_tf.layers.base import is_invertible
from irevnet_tf.testing.arguments import check_inputs
from irevnet_tf.testing.arguments import check_names
from irevnet_tf.testing.arguments import check_network_inputs
from irevnet_tf.testing.arguments import is_checked_as_network
from irevnet_tf.testing.checking_networks import NETWORK_CHECKS
from irevnet_tf.testing.checking_networks import check_network
from irevnet_tf.testing.checks_files import checkpoint
from irevnet_tf.testing.checks_files import export
from irevnet_tf.testing.checks_files import files
from irevnet_tf.testing.checks_files import frozen
from irevnet_tf.testing.checks_gradients import gradients
from irevnet_tf.testing.checks_gradients import lossless
from irevnet_tf.testing.checks_gradients import lossless_modes
from irevnet_tf.testing.checks_gradients import state
from irevnet_tf.testing.checks_gradients import training
from irevnet_tf.testing.checks_inverse import graph
from irevnet_tf.testing.checks_inverse import half_precision
from irevnet_tf.testing.checks_inverse import inverse
from irevnet_tf.testing.checks_inverse import inverse_in_training
from irevnet_tf.testing.checks_inverse import shapes
from irevnet_tf.testing.checks_inverse import unbuilt
from irevnet_tf.testing.checks_memory import memory
from irevnet_tf.testing.checks_memory import traces
from irevnet_tf.testing.checks_models import chain
from irevnet_tf.testing.checks_models import company
from irevnet_tf.testing.checks_python import python
from irevnet_tf.testing.finding import Broken
from irevnet_tf.testing.finding import DoesNotApply
from irevnet_tf.testing.report import Check
from irevnet_tf.testing.report import Report
from irevnet_tf.testing.snapshot import Snapshot
from irevnet_tf.testing.snapshot import surroundings_kept
from irevnet_tf.testing.subject import Subject

# name: (check, the largest error that holds, None for checks without one)
_CHECKS = {
    "inverse": (inverse, 1e-5),
    "inverse in training": (inverse_in_training, 1e-5),
    "shapes": (shapes, None),
    "unbuilt": (unbuilt, 1e-5),
    "graph": (graph, 1e-5),
    "gradients": (gradients, 1e-5),
    "state": (state, 1e-5),
    "training": (training, 1e-5),
    "lossless": (lossless, 0.0),
    "lossless modes": (lossless_modes, 0.0),
    "python": (python, 1e-5),
    "company": (company, 1e-5),
    "chain": (chain, 1e-5),
    "files": (files, 1e-6),
    "frozen": (frozen, 1e-6),
    "checkpoint": (checkpoint, 0.0),
    "export": (export, 1e-5),
    "half precision": (half_precision, 2e-2),
    "memory": (memory, None),
    "traces": (traces, None),
}
CHECKS = tuple(_CHECKS)

# Characters of an exception's message in the detail of a check.
_LENGTH = 500


def check_invertible(
    layer: keras.layers.Layer,
    inputs: ArrayLike | tuple[ArrayLike, ...],
    *,
    checks: Iterable[str] | None = None,
    limits: dict[str, float] | None = None,
    seed: int = 0,
) -> Report:
    """Test a layer or a network for what this package promises.

    It takes any `InvertibleLayer`, and any Keras layer with `inverse` beside
    `call`; a `Coupling` or a `ReversibleSequence`; any Keras layer without an
    inverse, which is tested as the residual of an `AdditiveCoupling`; and any
    model that `irevnet_tf.encoder` takes, see below.

    The layer is left as it was, except that a call builds it if needed. During
    the checks noise is added to trainable weights, since layers that begin as
    the identity hide errors.

    The checks, in the order of `irevnet_tf.testing.CHECKS`:

    - `"inverse"`, `"inverse in training"`: the inverse returns the input. In
      training it does not apply if each call has another output, as with
      dropout.
    - `"shapes"`: computed shapes and dtypes are those of the outputs.
    - `"unbuilt"`: the inverse builds the layer, if it is called first.
    - `"graph"`: graphs compute what eager calls do, for any batch size.
    - `"gradients"`: memory-saving gradients are those of plain training, for a
      few blocks, in eager steps and in graphs. For other layers, all gradients
      exist and are finite.
    - `"state"`: training steps change weights, statistics, seeds and all other
      variables as plain training does, and an inverse changes none.
    - `"training"`: so does a compiled model. For other layers, eager steps and
      graphs end with the same weights.
    - `"lossless"`: with `fraction_bits`, gradients, state and the inverse
      after training are equal to the last bit.
    - `"lossless modes"`: also if one direction is a graph and one is not.
    - `"python"`: changes in Python take effect, once a model is compiled.
    - `"company"`: behind an AdditiveCoupling around the same residual, a block
      computes and trains as itself.
    - `"chain"`: in a model, `encoder`, `features` and `invert` find it.
    - `"files"`: `.keras` files, configurations, clones and pickles compute the
      same, and have the same trainable parts.
    - `"frozen"`: also if one inner layer is frozen.
    - `"checkpoint"`: `tf.train.Checkpoint` holds every weight.
    - `"export"`: a SavedModel computes the same, without calls of functions.
    - `"half precision"`: under mixed_bfloat16 the streams stay float32.
    - `"memory"`: nothing holds on to a copy that was deleted.
    - `"traces"`: `encoder`, `features`, `invert` and `evaluation.Evaluator`
      leave no nodes on the layer.

    A model of invertible layers is run layer by layer and block by block, with
    the weights that it has, and the report tells of each, `report.points`:
    where an inverse is wrong, where streams explode or leave the exact range.
    What the chain can give back is compared: images on the grid of a lossless
    network, what enters the first invertible layer of a model with others in
    front. The checks, in the order of `irevnet_tf.testing.NETWORK_CHECKS`:

    - `"steps"`: the inverse of each layer and block returns what it takes.
    - `"inverse"`: so does that from the end back to each of them.
    - `"inverse in training"`: both in training mode, as far as layers are the
      same with each call; those with dropout are not.
    - `"range"`: values are finite, and a lossless network's in the exact range.
    - `"state"`: inverses move no variable. It tells what a training pass does.
    - `"outputs"`: graphs and other batches compute what an eager call does.
    - `"graph"`, `"modes"`, `"batch size"`: the inverse also returns the input
      in graphs, if one direction is a graph and one is not, and if inputs are
      encoded together and decoded alone, or the other way round.
    - `"gradients"`: a memory-saving training step in a graph computes the
      outputs, gradients and state of a plain one, to 1e-4 (5e-2 in half
      precision), in lossless networks too. It does not apply if no output is
      of floats.
    - `"files"`: a model from a `.keras` file computes and inverts the same.
    - `"invert"`: `irevnet_tf.invert` returns the input, too.

    Limits are 1e-4 of the input (1e-5 of a step), 0 in a lossless network, 5e-2
    (2e-2) if something computes in half precision.

    Example:

    >>> coupling = irevnet_tf.layers.AdditiveCoupling(keras.layers.Dense(8))
    >>> x1, x2 = np.random.rand(2, 4, 8).astype("float32")
    >>> report = irevnet_tf.testing.check_invertible(coupling, (x1, x2))
    >>> assert report, report  # A table says what does not hold.

    Args:
        layer: Keras layer or model. A layer's configuration (`get_config`) must
            suffice to make copies of it. Classes that the configuration names
            need not be registered.
        inputs: array, or tuple of arrays (batch, dimensions, channels). What
            the layer takes: a pair for a coupling or a sequence, and what F
            takes for a residual. An inverse must be able to return them:
            multiples of 2**-fraction_bits for a lossless layer, for example.
            For a model, what it takes, such as images.
        checks: None or iterable of strs. The names of those to run. Defaults to
            all.
        limits: None or dict {name: float}. The largest error that holds, for
            checks with another limit than the default.
        seed: int. The seed of all random numbers that are used.

    Returns:
        A `Report`, for a model a `NetworkReport`, which is true if all checks
        that apply hold. An exception that the layer raises is the detail of a
        check that does not hold.

    Raises:
        ValueError: if `layer` is no Keras layer, or a model without invertible
            layers (a residual that is a model is checked in a coupling), or one
            that `irevnet_tf.encoder` refuses; if `inputs` do not fit it; or if
            there is no check with a name.
    """
    network = is_checked_as_network(layer)
    known = NETWORK_CHECKS if network else CHECKS
    names = known if checks is None else tuple(checks)
    limits = dict(limits or {})
    check_names("checks", names, known)
    check_names("limits", limits, known)
    if network:
        inputs = check_network_inputs(layer, inputs)
        with surroundings_kept(seed):
            return check_network(layer, inputs, names, limits)
    inputs = check_inputs(layer, inputs)
    with surroundings_kept(seed):
        try:
            found = _run(layer, inputs, names, limits, seed)
        except Exception as error:
            # The layer cannot even be called.
            found = [
                Check(name, False, None, None, _message(error))
                for name in names
            ]
    title = f"{layer.name} of {type(layer).__name__}"
    if not is_invertible(layer):
        title += ", as the residual of AdditiveCouplings"
    return Report(title, tuple(found))


def _run(layer, inputs, names, limits, seed):
    if not layer.built:
        layer(inputs)
    before = Snapshot(layer)
    with without_traces(layer):
        try:
            subject = Subject(layer, inputs, seed)
            return [_check(name, subject, limits) for name in names]
        finally:
            before.restore()


def _check(name, subject, limits):
    function, limit = _CHECKS[name]
    limit = limits.get(name, limit)
    result = functools.partial(Check, name)
    subject.reset()
    try:
        value, detail = function(subject)
    except DoesNotApply as reason:
        return result(None, None, None, str(reason))
    except Broken as reason:
        return result(False, None, None, str(reason))
    except Exception as error:
        return result(False, None, None, _message(error))
    finally:
        subject.reset()
    if value is None or limit is None:
        return result(True, value, None, detail)
    return result(value <= limit, value, limit, detail)


def _message(error):
    text = textwrap.shorten(str(error), _LENGTH, placeholder=" ...")
    return f"{type(error).__name__}: {text}"
