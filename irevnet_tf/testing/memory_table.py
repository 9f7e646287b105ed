"""The results of `memory_report`, and their table."""

import dataclasses

# A deeper network costs this part of a plain block's memory at most, if memory
# counts as constant in depth.
CONSTANT = 0.1

# Bytes by which two measurements of one step differ.
NOISE = 4e6


@dataclasses.dataclass(frozen=True)
class TrainingMemory:
    """The memory of one way to train, in bytes, weights not included.

    Attributes:
        kept: int. What the backward pass reads, counted in the graph.
        peak: None or int. The measured peak of training steps: activations,
            gradients and workspace. None if it was not measured.
        kept_per_block: None or float. How much `kept` grows with each added
            block. None for models without a sequence of several blocks.
        peak_per_block: None or float. How much `peak` does. It includes the
            gradients of the block's weights.
    """

    kept: int
    peak: int | None = None
    kept_per_block: float | None = None
    peak_per_block: float | None = None


@dataclasses.dataclass(frozen=True)
class LayerMemory:
    """A layer in plain training.

    Attributes:
        name: str. The layer's name; that of a block has the name of its
            sequence, as `irevnet_tf.features` has it.
        kept: int. Bytes that it computes and the backward pass reads.
        weights: int. Bytes of its variables.
    """

    name: str
    kept: int
    weights: int


@dataclasses.dataclass(frozen=True)
class MemoryReport:
    """The memory that training a model takes, in bytes.

    `str(report)` is a table in MB, 10^6 bytes.

    Attributes:
        subject: str. The model's name, and the size of the batch.
        weights: int. All variables of the model.
        gradients: int. The gradients of the trainable ones.
        optimizer: int. The optimizer's variables.
        plain: `TrainingMemory`. With `memory_saving` off in all sequences.
        saving: None or `TrainingMemory`. With it on. None if the model has no
            `ReversibleSequence` that can save memory.
        block_weights: None or float. The trainable weights of an added block,
            on average. Their gradients take as much again.
        dropped: int. How many blocks fewer the sequence has with which those
            figures were found.
        layers: tuple of `LayerMemory`. Those of the model, in plain training.
        notes: tuple of strs. What was not counted or not measured, and why.
    """

    subject: str
    weights: int
    gradients: int
    optimizer: int
    plain: TrainingMemory
    saving: TrainingMemory | None
    block_weights: float | None
    dropped: int
    layers: tuple[LayerMemory, ...]
    notes: tuple[str, ...]

    @property
    def is_constant_in_depth(self) -> bool | None:
        """Whether added blocks take no more than weights and gradients.

        That is, with memory saving an added block takes less than a tenth of
        what it takes without, by count, and measured if both are. None if the
        model has not both.
        """
        if self.saving is None or self.plain.kept_per_block is None:
            return None
        pairs = [(self.saving.kept_per_block, self.plain.kept_per_block)]
        peaks = self.saving.peak_per_block, self.plain.peak_per_block
        if None not in peaks:
            noise = NOISE / self.dropped
            saving, plain = (peak - self.block_weights for peak in peaks)
            pairs.append((saving - noise, plain))
        return all(saving <= CONSTANT * plain for saving, plain in pairs)

    def __str__(self):
        ways = [x for x in (self.plain, self.saving) if x is not None]
        rows = [["", "plain", "memory saving"][: 1 + len(ways)]]
        for name in ("weights", "optimizer", "gradients"):
            value = getattr(self, name)
            rows.append([_ROWS[name], *(_megabytes(value) for _ in ways)])
        for name in _OF_WAYS:
            values = [getattr(way, name) for way in ways]
            if any(value is not None for value in values):
                rows.append([_ROWS[name], *map(_megabytes, values)])
        if self.block_weights is not None:
            weights = _megabytes(self.block_weights)
            rows.append(["weights of an added block", *(weights for _ in ways)])
        layers = [["kept by", "plain", "weights"]]
        layers += [
            [x.name, _megabytes(x.kept), _megabytes(x.weights)]
            for x in self.layers
            if x.kept or x.weights
        ]
        lines = [f"{self.subject}, in MB", *_table(rows), "", *_table(layers)]
        lines += [f"({note})" for note in self.notes]
        return "\n".join(lines)


_ROWS = {
    "weights": "weights",
    "optimizer": "optimizer state",
    "gradients": "gradients",
    "kept": "kept for the backward pass",
    "peak": "measured peak of a step",
    "kept_per_block": "kept for an added block",
    "peak_per_block": "measured for an added block",
}
_OF_WAYS = ("kept", "peak", "kept_per_block", "peak_per_block")


def _megabytes(value):
    return "-" if value is None else f"{value / 1e6:.2f}"


def _table(rows):
    """Return lines with the first column to the left, others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for first, *rest in rows:
        cells = [first.ljust(widths[0])]
        cells += [x.rjust(w) for x, w in zip(rest, widths[1:], strict=True)]
        lines.append("  ".join(cells).rstrip())
    return lines
