"""Training a model into a run directory."""

import contextlib

import keras
import tensorflow as tf

from irevnet_tf.data import Dataset
from irevnet_tf.data import evaluation_batches
from irevnet_tf.data import steps_per_epoch
from irevnet_tf.data import training_batches
from irevnet_tf.data.dataset import Examples
from irevnet_tf.distribution import average_statistics
from irevnet_tf.distribution import is_chief
from irevnet_tf.distribution import same_on_all_workers
from irevnet_tf.layers.fixed_point import OUT_OF_RANGE
from irevnet_tf.layers.fixed_point import exact_limit
from irevnet_tf.training.averages import averaged_weights
from irevnet_tf.training.checkpoints import Checkpoints
from irevnet_tf.training.checkpoints import TrainingState
from irevnet_tf.training.config import RunConfig
from irevnet_tf.training.errors import DivergenceError
from irevnet_tf.training.inversion_probe import InversionProbe
from irevnet_tf.training.options import RunOptions
from irevnet_tf.training.progress import Progress
from irevnet_tf.training.recipe import compile_model
from irevnet_tf.training.run_directory import RunDirectory
from irevnet_tf.training.schedule import Length
from irevnet_tf.training.supervisor import Supervisor
from irevnet_tf.training.tensorboard import ProfileSteps
from irevnet_tf.training.tensorboard import Scalars


def train(
    model: keras.Model,
    dataset: Dataset,
    directory: RunDirectory,
    options: RunOptions | None = None,
) -> dict[str, float]:
    """Train a model as the configuration of a run directory says.

    A run that was interrupted goes on: with `deterministic`, on one device,
    its final weights are those of a run without the interruption, to the
    last bit.

    After every epoch the validation data, if there is any, decides whether
    these are the best weights so far. The test data is looked at, for the
    metrics, only if there is no validation data, and decides nothing.

    Args:
        model: What `build_model` made for `directory.config`, in the scope of
            the `tf.distribute` strategy to train with, if any. On several
            machines each calls this function, with the same run directory on
            a file system that they share.
        dataset: The data to train and test on.
        directory: The run directory, which receives weights and metrics.
        options: How to carry the run out.

    Returns:
        The last row of the metrics.

    Raises:
        ValueError: if the data does not suffice for an epoch, or if a
            checkpoint is of another model.
        OSError: if the run directory cannot be written to, or the disk is
            too full; before training where it can be known.
        DivergenceError: if the loss or a weight stops being finite, or if a
            value leaves the range in which a lossless network is exact.
        Preempted: if SIGTERM came. A checkpoint was written.
    """
    config = directory.config
    options = options or RunOptions()
    strategy = model.distribute_strategy
    length = run_length(config, dataset)
    if config.deterministic:
        tf.config.experimental.enable_op_determinism()
    with strategy.scope():
        compile_model(model, config, length)

    # Where the run starts: at its newest checkpoint, or else with the weights
    # that the model came with.
    checkpoints = Checkpoints(
        directory.checkpoint_path, options.keep_checkpoints
    )
    with strategy.scope():
        state = checkpoints.restore(model) or TrainingState()
    if not same_on_all_workers(strategy, state.step):
        raise ValueError(
            "All workers must see the same checkpoints, on a file system that "
            f"they share. Received: step {state.step} from {checkpoints.path}"
        )
    if state.step >= length.total_steps:
        return state.rows[-1]
    chief = is_chief(strategy)
    if chief:
        checkpoints.prepare(model)

    def save() -> None:
        # Every worker takes part in the averaging, one writes.
        average_statistics(model)
        if chief:
            checkpoints.save(model, state)

    scalars = Scalars(directory.tensorboard_path if chief else None)
    supervisor = Supervisor(
        state,
        save,
        length,
        accumulation_steps=config.accumulation_steps,
        checkpoint_steps=options.checkpoint_steps,
        last_checkpoint=checkpoints.last,
    )
    progress = Progress(
        length,
        state.step,
        batch_size=config.batch_size,
        accumulation_steps=config.accumulation_steps,
        log_steps=options.log_steps,
        scalars=scalars,
    )
    callbacks = [supervisor]
    if chief:
        callbacks.append(progress)
    if chief and options.profile:
        callbacks.append(
            ProfileSteps(directory.tensorboard_path, *options.profile)
        )
    examples = dataset.validation or dataset.test
    held_out = "validation" if dataset.validation else "test"
    with strategy.scope():
        probe = InversionProbe(model, dataset, held_out)

    first_epoch = state.step // length.steps_per_epoch
    with (
        _clear_range_errors(config, supervisor),
        supervisor.heeding_sigterm(),
    ):
        for epoch in range(first_epoch, length.epochs):
            # One epoch of Keras' `fit` at a time: the pipeline starts in the
            # middle of one if that is where the run was interrupted.
            history = model.fit(
                _training_data(strategy, config, dataset, length, state.step),
                initial_epoch=epoch,
                epochs=epoch + 1,
                steps_per_epoch=(
                    (epoch * length.steps_per_epoch + length.steps_of(epoch))
                    - state.step
                )
                * config.accumulation_steps,
                callbacks=callbacks,
                shuffle=False,
                verbose=0,
            )
            logs = {name: values[0] for name, values in history.history.items()}
            row = {
                "epoch": epoch + 1,
                "learning_rate": float(model.optimizer.learning_rate),
                **supervisor.epoch_means(logs),
            }
            # `loss` without smoothing; of interest where it is measured.
            row.pop("cross_entropy")
            average_statistics(model)
            with averaged_weights(model):
                measured = evaluate_on(model, dataset, examples, config)
                row |= {f"{held_out}_{k}": v for k, v in measured.items()}
                row["inversion_error"] = probe.measure()
                best = _is_best(row, state.rows)
                if chief:
                    directory.save_weights(model, best=best)
            row["images_per_second"] = progress.images_per_second
            state.rows.append(row)
            state.partial_batches, state.partial_logs = 0, {}
            if chief:
                directory.write_metrics(state.rows)
                scalars.write(_curves(row), state.step)
                print(_line(row, length), flush=True)
            save()
            supervisor.after_epoch()
    return state.rows[-1]


def run_length(config: RunConfig, dataset: Dataset) -> Length:
    """Return the length of a run on a data set.

    Raises:
        ValueError: if the data does not suffice for an epoch.
    """
    available = steps_per_epoch(dataset, config.batch_size)
    return Length.of(config, available)


def evaluate_on(
    model: keras.Model, dataset: Dataset, examples: Examples, config: RunConfig
) -> dict[str, float]:
    """Measure loss and accuracy on all devices that a model is on.

    Args:
        model: A model that `compile_model` compiled.
        dataset: The data.
        examples: Its part to evaluate on.
        config: The run's configuration.

    Returns:
        `"loss"`, the cross-entropy without label smoothing, `"accuracy"`,
        and `"top_5_accuracy"` if there are many classes.
    """
    batches = model.distribute_strategy.distribute_datasets_from_function(
        lambda context: evaluation_batches(
            dataset, examples, config.batch_size, context=context
        )
    )
    values = model.evaluate(
        batches,
        steps=-(-examples.count // config.batch_size),
        verbose=0,
        return_dict=True,
    )
    values["loss"] = values.pop("cross_entropy")
    return values


def _training_data(strategy, config, dataset, length, step):
    """Return the batches from a step to the end of its epoch."""
    epoch, first_step = divmod(step, length.steps_per_epoch)
    # A step with accumulated gradients takes several batches, which the
    # pipeline calls steps.
    parts = config.accumulation_steps
    return strategy.distribute_datasets_from_function(
        lambda context: training_batches(
            dataset,
            config.augmentation,
            config.batch_size // parts,
            epoch=epoch,
            first_step=first_step * parts,
            steps=length.steps_of(epoch) * parts,
            seed=config.seed,
            deterministic=config.deterministic,
            context=context,
        )
    )


def _is_best(row, rows):
    """Return whether a row has the best accuracy on validation data so far."""
    name = "validation_accuracy"
    if name not in row:
        return False
    return all(row[name] > earlier[name] for earlier in rows)


def _curves(row):
    """Return the columns of an epoch under the names of TensorBoard's tabs."""
    return {f"epoch/{name}": row[name] for name in row if name != "epoch"}


def _line(row, length):
    parts = [f"epoch {row['epoch']}/{length.epochs}"]
    for name, value in row.items():
        if "accuracy" in name or "loss" in name:
            parts.append(f"{name} {value:.4f}")
    parts.append(f"inversion_error {row['inversion_error']:.1e}")
    parts.append(f"{row['images_per_second']:,.0f} images/s")
    return "  ".join(parts)


@contextlib.contextmanager
def _clear_range_errors(config, supervisor):
    """Tell of a value out of the exact range as of any other divergence."""
    try:
        yield
    except tf.errors.InvalidArgumentError as error:
        if OUT_OF_RANGE not in str(error):
            raise
        raise DivergenceError(
            "A value left the range in which lossless mode is exact, "
            f"{exact_limit('float32', config.fraction_bits):g}, in step "
            f"{supervisor.state.step + 1}. The last good checkpoint is "
            f"{supervisor.last_checkpoint()}. Try a lower learning rate, a "
            "longer warm-up, or fewer fraction bits. "
            f"Received: fraction_bits={config.fraction_bits}"
        ) from error
