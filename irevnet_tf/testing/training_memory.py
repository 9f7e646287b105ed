"""memory_report: what training a model keeps, counted and measured."""

import dataclasses
import re
from typing import Any

import keras

from irevnet_tf.layers import Coupling
from irevnet_tf.layers import ReversibleSequence
from irevnet_tf.layers.base import check_positive_int
from irevnet_tf.memory import available_memory
from irevnet_tf.memory import bytes_of
from irevnet_tf.memory import can_measure
from irevnet_tf.testing.memory_arguments import build
from irevnet_tf.testing.memory_arguments import check_model
from irevnet_tf.testing.memory_arguments import check_trainable
from irevnet_tf.testing.memory_arguments import input_specs
from irevnet_tf.testing.memory_table import LayerMemory
from irevnet_tf.testing.memory_table import MemoryReport
from irevnet_tf.testing.memory_table import TrainingMemory
from irevnet_tf.testing.peak_runs import measure_peaks
from irevnet_tf.testing.snapshot import Snapshot
from irevnet_tf.testing.snapshot import surroundings_kept
from irevnet_tf.testing.steps import sequences_in
from irevnet_tf.testing.steps import set_memory_saving
from irevnet_tf.testing.training_graph import parts_of
from irevnet_tf.testing.training_graph import trace_training

# Peaks are below this multiple of what is kept, see `memory_report`.
_LARGEST = 2

# What a process with TensorFlow takes.
_PROCESS = 10**9


def memory_report(
    model: keras.Model,
    input_shape: Any,
    batch: int,
    *,
    optimizer: keras.Optimizer | None = None,
    measure: bool = True,
) -> MemoryReport:
    """Report the memory that training a model takes, and the cost of depth.

    It traces a training step with float inputs and the mean of the squared
    outputs as the loss. In the graph it counts the tensors that the forward
    pass makes and the backward pass reads: each memory once, without inputs
    and weights. A model with `layers.ReversibleSequence` layers is counted with
    `memory_saving` off in all of them ("plain") and on. With it on, the block
    that keeps most is added, since the backward pass runs one block at a time.
    Then a process of its own runs a few steps and measures the peak of the
    resident memory above that between steps: what is kept, gradients, and the
    workspace of operations. Both are repeated with fewer blocks in the longest
    sequence, for the cost of an added block. Its weights and its optimizer's
    state come on top.

    Peaks were 1.0 to 1.4 times what is kept and the gradients in plain
    training, where 50 MB and more were kept: operations need memory while they
    run. With memory saving they were up to 2.5 times that.

    Example:

    >>> model = irevnet_tf.IRevNet((3,), (2,), (24,), classes=10)
    >>> report = irevnet_tf.testing.memory_report(
    ...     model, (32, 32, 3), batch=16, measure=False
    ... )
    >>> assert report.is_constant_in_depth

    Args:
        model: Keras model. Any model. It stays as it is, but is built if
            needed. Its classes need not be registered.
        input_shape: tuple of ints, or a structure of them. The shape of an
            input without the batch, `(height, width, channels)` of images; for
            a model with several inputs, in the model's structure.
        batch: positive int. The size of the batch.
        optimizer: None or Keras optimizer. Its configuration counts. Defaults
            to SGD with momentum.
        measure: bool. Whether to measure peaks, too. It needs Linux, and takes
            several seconds and prints a line for each. If less memory is free
            than a step may take, the report says that it was not measured.

    Returns:
        A `MemoryReport`, whose numbers are bytes.

    Raises:
        ValueError: if `model` is no Keras model, has nothing to train or does
            not take inputs of `input_shape`; if another argument is invalid.
    """
    batch = check_positive_int("batch", batch)
    check_model(model, optimizer)
    specs = input_specs(model, input_shape, batch)
    with surroundings_kept(0):
        build(model, specs)
        check_trainable(model)
        if optimizer is None:
            optimizer = keras.optimizers.SGD(0.01, momentum=0.9)
        optimizer = type(optimizer).from_config(optimizer.get_config())
        optimizer.build(model.trainable_variables)
        run = _Run(model, specs, optimizer)
        if measure:
            run.measure()
        return run.report(f"{model.name}, batch of {batch}")


@dataclasses.dataclass(frozen=True)
class _Way:
    """How a graph trains the model.

    Attributes:
        saving: bool. Whether its sequences save memory.
        dropped: int. How many blocks fewer the longest of them has.
    """

    saving: bool
    dropped: int = 0

    def __str__(self):
        name = "with memory saving" if self.saving else "plain"
        return f"{name}, {self.dropped} blocks fewer" if self.dropped else name


_PLAIN, _SAVING = _Way(saving=False), _Way(saving=True)


class _Run:
    """The graphs of a model's training, and their peaks.

    Args:
        model: built Keras model. The model to train.
        specs: structure of `tf.TensorSpec`. Its inputs.
        optimizer: Keras optimizer. Built for the model's weights.
    """

    def __init__(self, model, specs, optimizer):
        self._model = model
        self._specs = specs
        self._optimizer = optimizer
        self._notes = []
        self._peaks = {}
        before = Snapshot(model)
        try:
            self._graphs = self._trace()
        finally:
            before.restore()
        alone = [
            name
            for name, layer in parts_of(model).items()
            if isinstance(layer, Coupling) and not self._is_block(layer)
        ]
        if alone:
            self._notes.append(
                f"couplings outside of a ReversibleSequence save no memory: "
                f"{', '.join(alone)}"
            )
        unknown = self._graphs[_PLAIN].unknown
        if unknown:
            self._notes.append(
                f"{unknown} tensors of unknown size are not counted, such as "
                "the lists of recurrent layers"
            )

    def _trace(self):
        """Return {way: graph}, those of least memory first."""
        sequences = sequences_in(self._model)
        longest = self._longest
        graphs = {}
        for way in (_SAVING, _PLAIN) if sequences else (_PLAIN,):
            set_memory_saving(self._model, way.saving)
            try:
                full = self._traced()
            except ValueError as error:
                if way is _PLAIN:
                    raise
                self._notes.append(f"memory saving is refused: {_text(error)}")
                continue
            if longest is not None:
                short = self._traced(longest)
                if short.dropped:
                    graphs[_Way(way.saving, short.dropped)] = short
            graphs[way] = full
        return graphs

    @property
    def _longest(self):
        """The sequence of the most blocks, or None."""
        sequences = [
            x
            for x in sequences_in(self._model)
            if type(x) is ReversibleSequence
        ]
        return max(sequences, key=lambda x: len(x.blocks), default=None)

    def _traced(self, short=None):
        return trace_training(self._model, self._specs, self._optimizer, short)

    def measure(self):
        """Measure the peak of each graph for which there is memory."""
        if not can_measure():
            self._notes.append("not measured, which needs Linux")
            return
        free, functions = available_memory(), {}
        for way, graph in self._graphs.items():
            needed = _LARGEST * (graph.total + self._fixed) + _PROCESS
            if needed < free:
                functions[way] = graph.function
            else:
                self._notes.append(
                    f"{way}: not measured, since it may take "
                    f"{needed / 1e9:.1f} GB, and {free / 1e9:.1f} GB are free"
                )
        if not functions:
            return
        specs = keras.tree.flatten(self._specs)
        peaks, reason = measure_peaks(functions, specs)
        self._peaks = dict(zip(functions, peaks, strict=False))
        if reason is not None:
            missing = list(functions)[len(peaks)]
            self._notes.append(f"{missing}: {reason}")

    @property
    def _fixed(self):
        """Bytes that do not depend on the batch."""
        return sum(map(bytes_of, self._fixed_variables()))

    def _fixed_variables(self):
        model = self._model
        yield model.variables
        yield model.trainable_variables
        yield self._optimizer.variables

    def report(self, subject) -> MemoryReport:
        """Return all numbers."""
        weights, gradients, optimizer = map(bytes_of, self._fixed_variables())
        kept = self._graphs[_PLAIN].kept
        parts = parts_of(self._model)
        layers = [
            LayerMemory(name, kept[name], bytes_of(layer.variables))
            for name, layer in parts.items()
        ]
        rest = sum(kept.values()) - sum(x.kept for x in layers)
        layers.append(LayerMemory("(loss and the rest)", rest, 0))
        saving = None
        if _SAVING in self._graphs:
            blocks = [x for x in parts if self._is_block(parts[x])]
            saving = self._memory(
                _SAVING, max((kept[x] for x in blocks), default=0)
            )
        dropped = max(way.dropped for way in self._graphs)
        of_block = None
        if dropped:
            blocks = self._longest.blocks[-dropped:]
            of_block = sum(bytes_of(x.trainable_variables) for x in blocks)
            of_block /= dropped
        return MemoryReport(
            subject,
            weights,
            gradients,
            optimizer,
            self._memory(_PLAIN),
            saving,
            of_block,
            dropped,
            tuple(layers),
            tuple(self._notes),
        )

    def _is_block(self, layer):
        return any(
            layer is block
            for sequence in sequences_in(self._model)
            for block in sequence.blocks
        )

    def _memory(self, way, at_work=0):
        """Return the memory of a way to train.

        Args:
            way: `_Way`. One of the graphs, with all blocks.
            at_work: int. What is kept besides, for one block at a time.
        """
        graph, peak = self._graphs[way], self._peaks.get(way)
        kept_per_block = peak_per_block = None
        for other, short in self._graphs.items():
            if other.saving != way.saving or not other.dropped:
                continue
            kept_per_block = (graph.total - short.total) / other.dropped
            if peak is not None and other in self._peaks:
                peak_per_block = (peak - self._peaks[other]) / other.dropped
        return TrainingMemory(
            graph.total + at_work, peak, kept_per_block, peak_per_block
        )


def _text(error):
    """Return an exception's message, without what Keras adds to it."""
    paragraphs = re.sub(r"\x1b\[\d+m", "", str(error)).split("\n\n")
    is_added = paragraphs[0].startswith("Exception encountered when calling")
    return paragraphs[1 if is_added else 0]
