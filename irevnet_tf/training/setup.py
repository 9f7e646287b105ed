"""A run's data, model, optimizer, loss and metrics."""

import math
import os

import keras
import tensorflow as tf

from irevnet_tf.data import Dataset
from irevnet_tf.data import load_dataset
from irevnet_tf.distribution import synchronize_batch_norm
from irevnet_tf.evaluation import Evaluation
from irevnet_tf.models.constructors import CONSTRUCTORS
from irevnet_tf.models.constructors import options_of
from irevnet_tf.training.config import RunConfig
from irevnet_tf.training.optimizer import SGD
from irevnet_tf.training.optimizer import UNDECAYED
from irevnet_tf.training.optimizer import AdamW
from irevnet_tf.training.optimizer import LossScaleOptimizer
from irevnet_tf.training.schedule import Length
from irevnet_tf.training.schedule import learning_rate_schedule

# Number of classes from which the share of images whose class is among the
# five most probable ones is reported.
CLASSES_FOR_TOP_5 = 100


def load_data(
    config: RunConfig,
    data_dir: str | os.PathLike | None = None,
    *,
    download: bool = True,
) -> Dataset:
    """Load a run's data.

    Example:

    >>> config = irevnet_tf.training.RunConfig(validation_fraction=0.1)
    >>> dataset = irevnet_tf.training.load_data(config)
    >>> dataset.train.count, dataset.validation.count
    (1293, 144)

    Args:
        config: `RunConfig`. The run's configuration.
        data_dir: None, str or path. Directory of TFDS' data sets, None for the
            usual one.
        download: bool. Whether TFDS may prepare a set that is not there.

    Returns:
        A `Dataset`.

    Raises:
        ValueError: if there is no such data, or if it does not fit the
            configuration.
    """
    return load_dataset(
        config.dataset,
        data_dir=data_dir,
        image_size=config.image_size,
        image_channels=config.image_channels,
        normalization=config.normalization,
        train_split=config.train_split,
        test_split=config.test_split,
        validation_fraction=config.validation_fraction,
        download=download,
    )


def check_devices(config: RunConfig, strategy: tf.distribute.Strategy) -> None:
    """Raise ValueError if a configuration cannot run on these devices.

    Args:
        config: `RunConfig`. The run's configuration.
        strategy: distribution strategy. It provides the devices.

    Raises:
        ValueError: if the batch cannot be divided among them, or if Keras
            would hang there.
    """
    replicas = strategy.num_replicas_in_sync
    parts = replicas * config.accumulation_steps
    if config.batch_size % parts:
        raise ValueError(
            f"`batch_size` must be divisible by the {replicas} devices times "
            f"`accumulation_steps` (={config.accumulation_steps}). "
            f"Received: batch_size={config.batch_size}"
        )
    if config.jit and replicas > 1:
        # keras #20763, #21366: XLA with several replicas hangs or fails.
        raise ValueError(
            "`jit` must be False on more than one device. "
            f"Received: jit=True with {replicas} devices"
        )


def build_model(
    config: RunConfig,
    dataset: Dataset,
    weights: str | os.PathLike | None = None,
) -> keras.Model:
    """Build a run's network.

    Seeds all random generators with `config.seed`. The layers get
    `config.mixed_precision` as their dtype policy; afterwards the global
    policy is as before.

    Example:

    >>> config = irevnet_tf.training.RunConfig()
    >>> dataset = irevnet_tf.training.load_data(config)
    >>> model = irevnet_tf.training.build_model(config, dataset)
    >>> model.output_shape
    (None, 10)

    Args:
        config: `RunConfig`. The run's configuration.
        dataset: `Dataset`. The data that the network is for.
        weights: None, str or path. Path of the weights to load, None for new
            ones.

    Returns:
        A Keras model from images (batch, height, width, channels) to logits
        (batch, classes).

    Raises:
        ValueError: if the network cannot take images of this size, or if
            the weights are not for it.
    """
    keras.utils.set_random_seed(config.seed)
    values = {
        "weights": weights,
        "input_shape": dataset.image_shape,
        "classes": len(dataset.class_names),
        "classifier_activation": None,
        "dropout_rate": config.dropout_rate,
        "stochastic_depth_rate": config.stochastic_depth_rate,
        "memory_saving": config.memory_saving,
        "lossless": config.lossless,
        "fraction_bits": config.fraction_bits,
    }
    # The configuration has refused what other networks do not have.
    options = options_of(config.model)
    values = {name: x for name, x in values.items() if name in options}
    # The constructors take no policy; new layers follow the global one.
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy(config.mixed_precision)
    try:
        model = CONSTRUCTORS[config.model](**values)
    finally:
        keras.config.set_dtype_policy(policy)
    if config.sync_batch_norm:
        synchronize_batch_norm(model)
    return model


def count_parameters(model: keras.Model) -> int:
    """Count trainable parameters: no statistics, unlike `count_params()`.

    Example:

    >>> model = irevnet_tf.IRevNet28(weights="digits")
    >>> irevnet_tf.training.count_parameters(model)
    952586

    Args:
        model: Keras model. Any model.

    Returns:
        The number of trainable values, an int.
    """
    return sum(math.prod(v.shape) for v in model.trainable_variables)


def compile_model(
    model: keras.Model, config: RunConfig, length: Length
) -> keras.optimizers.schedules.LearningRateSchedule:
    """Compile a classifier that returns logits, for one-hot labels.

    Weight decay spares the BatchNorms and the biases, unless the
    configuration has `weight_decay_all`.

    Example:

    >>> config = irevnet_tf.training.RunConfig()
    >>> dataset = irevnet_tf.training.load_data(config)
    >>> model = irevnet_tf.training.build_model(config, dataset)
    >>> length = irevnet_tf.training.run_length(config, dataset)
    >>> schedule = irevnet_tf.training.compile_model(model, config, length)

    Args:
        model: Keras model. It is compiled in place.
        config: `RunConfig`. The run's configuration.
        length: `Length`. The run's length.

    Returns:
        The learning rate schedule, as `learning_rate_schedule` makes it.
    """
    batches = length.batches_per_step
    schedule = learning_rate_schedule(config, length)
    optimizer = _make_optimizer(
        config,
        learning_rate=schedule,
        clip_norm=config.clip_norm,
        use_ema=config.ema_decay > 0,
        # Keras averages after every batch, and a step may take several.
        ema_momentum=config.ema_decay ** (1 / batches),
        gradient_accumulation_steps=batches if batches > 1 else None,
    )
    if not config.weight_decay_all:
        optimizer.exclude_from_weight_decay(var_names=list(UNDECAYED))
    if config.mixed_precision == "mixed_float16":
        optimizer = LossScaleOptimizer(optimizer)
    metrics = [
        keras.metrics.CategoricalAccuracy(name="accuracy"),
        # Unlike `loss`: without smoothing, and of examples of weight 1 only.
        keras.metrics.CategoricalCrossentropy(
            name="cross_entropy", from_logits=True
        ),
    ]
    if model.output_shape[-1] >= CLASSES_FOR_TOP_5:
        metrics.append(
            keras.metrics.TopKCategoricalAccuracy(5, name="top_5_accuracy")
        )
    model.compile(
        optimizer=optimizer,
        loss=keras.losses.CategoricalCrossentropy(
            from_logits=True, label_smoothing=config.label_smoothing
        ),
        weighted_metrics=metrics,
        jit_compile=config.jit,
        # Loss scaling is set up above, if at all.
        auto_scale_loss=False,
    )
    # Otherwise Keras creates the momentum of every weight inside the first
    # training step, which it then traces twice.
    model.optimizer.build(model.trainable_variables)
    return schedule


def _make_optimizer(config, **options):
    if config.optimizer == "adamw":
        return AdamW(weight_decay=config.weight_decay, **options)
    return SGD(
        l2=config.weight_decay,
        momentum=config.momentum,
        nesterov=config.nesterov,
        **options,
    )


def metrics_of(found: Evaluation, classes: int) -> dict[str, float]:
    """Return the reported metrics of an evaluation, with training's names.

    Args:
        found: `Evaluation`. What was measured.
        classes: int. Number of classes.
    """
    values = {"accuracy": found.accuracy, "loss": found.cross_entropy}
    if classes >= CLASSES_FOR_TOP_5:
        values["top_5_accuracy"] = found.top_5_accuracy
    return values
