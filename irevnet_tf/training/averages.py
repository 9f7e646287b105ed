"""Evaluating with averaged (EMA) weights."""

import contextlib
from collections.abc import Iterator

import keras


@contextlib.contextmanager
def averaged_weights(model: keras.Model) -> Iterator[None]:
    """Exchange a model's weights for their moving average inside the block.

    Keras' own `SwapEMAWeights` exchanges by adding and subtracting, which
    rounds: the weights that training goes on with would depend on how often
    they were evaluated.

    Args:
        model: A compiled model. If its optimizer keeps no moving average,
            nothing happens.
    """
    optimizer = model.optimizer
    # Under mixed_float16 Keras wraps it, to scale the loss.
    optimizer = getattr(optimizer, "inner_optimizer", optimizer)
    if not optimizer.use_ema:
        yield
        return
    # Keras has no public name for either list.
    variables = optimizer._trainable_variables
    averages = optimizer._model_variables_moving_average
    values = [variable.numpy() for variable in variables]
    for variable, average in zip(variables, averages, strict=True):
        variable.assign(average.numpy())
    try:
        yield
    finally:
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)
