"""Which examples of an epoch an input pipeline handles.

An epoch is a sequence of positions 0, 1, 2, ... Step t of training takes
those from t * batch_size up to (t + 1) * batch_size, and the input pipelines
(one per worker) share them in contiguous parts of equal length. What happens
in a step therefore does not depend on how many pipelines and replicas there
are.
"""

import tensorflow as tf


def replica_batch_size(
    context: tf.distribute.InputContext, batch_size: int
) -> int:
    """Return the number of examples that one replica gets in one step.

    Args:
        context: The replicas and input pipelines.
        batch_size: int. Examples per step, over all replicas.

    Returns:
        `batch_size` divided by the number of replicas.

    Raises:
        ValueError: if `batch_size` is no positive multiple of it.
    """
    replicas = context.num_replicas_in_sync
    if batch_size < 1 or batch_size % replicas:
        raise ValueError(
            "`batch_size` must be a positive multiple of the number of "
            f"replicas (={replicas}). Received: batch_size={batch_size}"
        )
    return batch_size // replicas


def local_positions(
    context: tf.distribute.InputContext,
    batch_size: int,
    first_step: int,
    steps: int,
) -> tf.data.Dataset:
    """Return the positions in the epoch that one input pipeline handles.

    Args:
        context: Which pipeline it is.
        batch_size: int. Examples per step, over all pipelines.
        first_step: int. The first step to handle.
        steps: int. The step to stop before.

    Returns:
        A `tf.data.Dataset` of int64 vectors, one per step.
    """
    local = batch_size // context.num_input_pipelines
    start = context.input_pipeline_id * local
    return tf.data.Dataset.range(first_step, steps).map(
        lambda step: step * batch_size + start + tf.range(local, dtype="int64")
    )
