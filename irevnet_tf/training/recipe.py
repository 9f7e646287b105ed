"""The recipe: model, learning rate schedule, optimizer, loss."""

import math
import os

import keras

import irevnet_tf
from irevnet_tf.data import Dataset
from irevnet_tf.training.config import RunConfig

MOMENTUM = 0.9


def build_model(
    config: RunConfig,
    dataset: Dataset,
    weights: str | os.PathLike | None = None,
) -> keras.Model:
    """Build a run's network.

    Seeds all random generators with `config.seed`. The layers get
    `config.mixed_precision` as their dtype policy; the global policy is as
    before when the network is built.

    Args:
        config: The run's configuration.
        dataset: The data that the network is for.
        weights: Path of the weights to load, None for new ones.

    Returns:
        A Keras model from images (batch, height, width, channels) to logits
        (batch, classes).

    Raises:
        ValueError: if the network cannot take images of this size, or if
            the weights are not for it.
    """
    keras.utils.set_random_seed(config.seed)
    constructor = getattr(irevnet_tf, config.model)
    # The constructors take no policy; new layers follow the global one.
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy(config.mixed_precision)
    try:
        return constructor(
            weights=weights,
            input_shape=dataset.image_shape,
            classes=len(dataset.class_names),
            classifier_activation=None,
            dropout_rate=config.dropout_rate,
            memory_saving=config.memory_saving,
            lossless=config.lossless,
            fraction_bits=config.fraction_bits,
        )
    finally:
        keras.config.set_dtype_policy(policy)


def count_parameters(model: keras.Model) -> int:
    """Count what training learns: no statistics, unlike `count_params()`."""
    return sum(math.prod(v.shape) for v in model.trainable_variables)


def learning_rate_schedule(
    config: RunConfig, steps_per_epoch: int
) -> keras.optimizers.schedules.LearningRateSchedule:
    """Make a linear warm-up from zero, then a cosine down to zero.

    Args:
        config: The run's configuration.
        steps_per_epoch: int. Optimizer steps in one epoch.

    Returns:
        A schedule over `config.epochs * steps_per_epoch` steps.
    """
    warmup_steps = config.warmup_epochs * steps_per_epoch
    cosine_steps = config.epochs * steps_per_epoch - warmup_steps
    if not warmup_steps:
        return keras.optimizers.schedules.CosineDecay(
            config.learning_rate, cosine_steps
        )
    return keras.optimizers.schedules.CosineDecay(
        0.0,
        cosine_steps,
        warmup_target=config.learning_rate,
        warmup_steps=warmup_steps,
    )


def compile_model(
    model: keras.Model, config: RunConfig, steps_per_epoch: int
) -> None:
    """Compile a classifier that returns logits.

    SGD with Nesterov momentum; weight decay spares the BatchNorms and the
    biases.

    Args:
        model: The model to compile in place.
        config: The run's configuration.
        steps_per_epoch: int. Optimizer steps in one epoch.
    """
    optimizer = keras.optimizers.SGD(
        learning_rate_schedule(config, steps_per_epoch),
        momentum=MOMENTUM,
        nesterov=True,
        weight_decay=config.weight_decay or None,
    )
    if config.weight_decay:
        optimizer.exclude_from_weight_decay(var_names=["beta", "gamma", "bias"])
    model.compile(
        optimizer=optimizer,
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    # Otherwise Keras creates the momentum of every weight inside the first
    # training step, which it then traces twice.
    model.optimizer.build(model.trainable_variables)
