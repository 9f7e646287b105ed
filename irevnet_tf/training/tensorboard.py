"""Curves and profiles for TensorBoard, which itself need not be installed."""

import os
import pathlib

import keras
import tensorflow as tf


class Scalars:
    """Curves for TensorBoard, which itself need not be installed.

    `tf.summary.scalar` is a part of TensorBoard; what it writes is not much.

    Args:
        directory: Where the curves go; None writes nothing.
    """

    def __init__(self, directory: str | os.PathLike | None):
        self._writer = tf.summary.create_noop_writer()
        if directory is not None:
            path = str(pathlib.Path(directory))
            self._writer = tf.summary.create_file_writer(path)
        self._kind = tf.compat.v1.SummaryMetadata(
            plugin_data=tf.compat.v1.SummaryMetadata.PluginData(
                plugin_name="scalars"
            )
        )

    def write(self, values: dict[str, float], step: int) -> None:
        """Add a point to each of the curves.

        Args:
            values: The curves' names and values.
            step: int. Where on the axis.
        """
        with self._writer.as_default():
            for name, value in values.items():
                tf.summary.write(
                    name, tf.constant(value, "float32"), step, self._kind
                )
        self._writer.flush()


class ProfileSteps(keras.callbacks.Callback):
    """Callback that profiles some steps of this process for TensorBoard.

    Args:
        directory: Where the profile goes.
        first: int. The first batch to profile, from 1.
        last: int. The last one.
    """

    def __init__(self, directory, first, last):
        super().__init__()
        self.directory = str(directory)
        self.first = first
        self.last = last
        self._batches = 0
        self._running = False

    def on_train_batch_begin(self, batch, logs=None):
        self._batches += 1
        if self._batches == self.first:
            tf.profiler.experimental.start(self.directory)
            self._running = True

    def on_train_batch_end(self, batch, logs=None):
        if self._running and self._batches == self.last:
            self._stop()

    def on_train_end(self, logs=None):
        if self._running:
            self._stop()

    def _stop(self):
        tf.profiler.experimental.stop()
        self._running = False
