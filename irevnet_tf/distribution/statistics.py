"""BatchNorm on several replicas: averaged or synchronized statistics."""

import weakref

import keras
import tensorflow as tf

# Tracing takes as long as many steps, and checkpoints come often.
_averages = weakref.WeakKeyDictionary()


def average_statistics(model: keras.Model) -> None:
    """Give all replicas the mean of their moving statistics, in place.

    In Keras 3, every replica updates the statistics of its BatchNorm layers
    from its own batches. Saving and evaluation then depend on the replica that
    they use. After this call they do not.

    Call it outside a step (in a cross-replica context, such as a callback).
    All workers must call it at the same point of their program, as it waits
    for them. Does nothing if there is one replica.

    Example:

    >>> model = irevnet_tf.IRevNet28(input_shape=(8, 8, 1), classes=10)
    >>> irevnet_tf.distribution.average_statistics(model)
    >>> model.save_weights("averaged.weights.h5")

    Args:
        model: Keras model. It was built in its strategy's scope. Layers at any
            depth count.
    """
    if model.distribute_strategy.num_replicas_in_sync == 1:
        return
    if model not in _averages:
        _averages[model] = _average(model)
    _averages[model]()


def _average(model):
    """Return the function that averages, traced at its first call.

    In a graph, the sums are sent over the network together.
    """
    strategy = model.distribute_strategy
    variables = [
        variable
        for layer in batch_norm_layers(model)
        if not layer.synchronized
        for variable in layer.non_trainable_variables
    ]

    def average():
        replica = tf.distribute.get_replica_context()
        # `identity` puts each value on a device, which sums over workers
        # need to know.
        means = replica.all_reduce(
            "MEAN", [tf.identity(variable.value) for variable in variables]
        )
        for variable, mean in zip(variables, means, strict=True):
            variable.assign(mean)

    if not variables:
        return lambda: None
    return tf.function(lambda: strategy.run(average), autograph=False)


def synchronize_batch_norm(model: keras.Model) -> None:
    """Make BatchNorm normalize by all replicas' batches together, in place.

    Call it before the model's training step is traced. Every replica then
    trains as one replica with the whole batch would, at the price of two
    exchanges per layer, and as many in the backward pass. Replicas need
    batches of equal size. Moving statistics are the same everywhere.

    Example:

    >>> model = irevnet_tf.IRevNet28(input_shape=(8, 8, 1), classes=10)
    >>> irevnet_tf.distribution.synchronize_batch_norm(model)
    >>> model.compile("sgd", "sparse_categorical_crossentropy")

    Args:
        model: Keras model. Its `keras.layers.BatchNormalization` layers, at any
            depth, are changed.
    """
    for layer in batch_norm_layers(model):
        layer.synchronized = True


def batch_norm_layers(model: keras.Model) -> list:
    """Return the BatchNorm layers of a model, at any depth."""
    return [
        layer
        for layer in model._flatten_layers()
        if isinstance(layer, keras.layers.BatchNormalization)
    ]
