"""Finding the chains of invertible layers in a model.

A model is a plain Functional one that survives files and nesting, so the order
of its layers has to be found again in its graph. An i-RevNet is one chain; a
RevNet has one for each stage, with a layer without inverse between them.
"""

import dataclasses

import keras

from irevnet_tf.layers.inverse import share_layer
from irevnet_tf.models.chain import Chain
from irevnet_tf.models.chain import chain_with
from irevnet_tf.models.chain import rebuilt
from irevnet_tf.models.graph import find_runs
from irevnet_tf.models.grid import check_grid


def find_chains(model: keras.Model, needed: bool = False) -> list[Chain]:
    """Return the chains of invertible layers in a model, in order.

    Between two of them stands a layer without inverse. `invert(model, name)`
    goes from a point in one of them to its entrance.

    Args:
        model: Keras model. Any model.
        needed: bool. Whether a model without invertible layers is an error.

    Returns:
        A list of `Chain`: one for an i-RevNet, one for each stage of a RevNet,
        none for a model without invertible layers.

    Raises:
        ValueError: if `model` is no Keras model, or has no chain that is
            `needed`; if there are several chains side by side; or if only some
            layers of a chain are lossless.
    """
    if not isinstance(model, keras.Model):
        raise ValueError(
            f"`model` must be a Keras model. Received: model={model!r}"
        )
    found = []
    for run in find_runs(model):
        steps = run.steps
        check_grid([step.layer for step in steps])
        chain = Chain(steps[0].model, steps)
        if any(step.model is not chain.model for step in steps):
            layers = [share_layer(step.layer) for step in steps]
            chain = rebuilt(chain.model, steps, layers)
        if not found:
            first = steps[0].model
        found.append(
            dataclasses.replace(
                chain,
                obstacle=run.obstacle,
                is_from_image=steps[0].model is first,
            )
        )
    if needed and not found:
        raise ValueError(
            "`model` must be an i-RevNet, or hold or extend one. "
            f"Received: model={model.name} with layers "
            f"{[layer.name for layer in model.layers][:8]}"
        )
    return found


def find_chain(model: keras.Model, point: int | str | None = None) -> Chain:
    """Return the chain of invertible layers in a model.

    Args:
        model: Keras model. Any model; an i-RevNet, or one that holds or extends
            one.
        point: None, int or str. A point in the chain to return, if there may be
            several: the number of a stage, from 1, or a name.

    Raises:
        ValueError: if `model` holds no i-RevNet; if another layer stands
            between its invertible ones and there is no `point`, or none in
            just one chain; or if only some are lossless.
    """
    chains = find_chains(model, needed=True)
    if point is not None:
        return chain_with(chains, point)[0]
    if len(chains) > 1:
        before, chain = chains[:2]
        points = [name for one in chains for name in one.stages]
        point = points[-1] if points else chain.layers[-1].name
        raise ValueError(
            "`model` has no inverse as a whole, since not every layer between "
            "the invertible ones has an `inverse`; from a point, it has: "
            f"irevnet_tf.invert(model, {point!r}) goes back to the entrance of "
            f"the point's part. Received: {chain.obstacle.name} of "
            f"{type(chain.obstacle)} between {before.layers[-1].name} and "
            f"{chain.layers[0].name}"
        )
    return chains[0]


def refuse_other_images(model: keras.Model, *chains: Chain) -> None:
    """Raise ValueError for chains in a model that does not take the images.

    Args:
        model: Keras model. The user's.
        *chains: `Chain`. Those that something is to be computed from images by.
    """
    for chain in chains:
        if not chain.is_from_image:
            raise ValueError(
                "The layers from the images to the point must be in the graph "
                "of one model. Received: "
                f"model={model.name}, with {chain.layers[0].name} in another "
                f"model, {chain.model.name}"
            )
