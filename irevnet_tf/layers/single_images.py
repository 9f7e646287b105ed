"""Single images, which convolutions compute otherwise than batches."""

import tensorflow as tf


def in_any_batch(run):
    """Return a function of streams whose bits a batch of any size gets.

    Convolutions have separate kernels for single images, whose last bits
    differ: with 1x1 kernels, an image was off by 2e-4 when it had come in a
    batch and went back alone. So in lossless mode a single image is doubled.

    On x86, that is enough with oneDNN, in float32 and bfloat16, and with one
    thread, except in float64. Otherwise Eigen cuts sums into parts by the
    number of images and threads. Images one by one would agree, but take 2 to 4
    times as long.

    Args:
        run: function. From a pair of streams to another one, image by image.
    """

    def doubling(streams):
        if streams[0].shape[0] not in (None, 1):
            return run(streams)
        batch = tf.shape(streams[0])[0]
        missing = tf.maximum(2 - batch, 0)
        padded = tuple(tf.concat([x, x[:missing]], 0) for x in streams)
        return tuple(y[:batch] for y in run(padded))

    return doubling
