"""The classes of a network and those of a data set, which of them are alike."""

from collections.abc import Sequence

import numpy as np
from absl import app

from irevnet_tf.apps.launch import say
from irevnet_tf.apps.network_source import Source
from irevnet_tf.data import Dataset
from irevnet_tf.models.predictions import class_aliases
from irevnet_tf.models.predictions import class_places

# What the flag of this name means wherever it is.
CLASS_NAMES = (
    "The network's classes, in their order: names, separated by commas, or the "
    "name of a data set of irevnet_tf.decode_predictions. Those of the run or "
    "of the weights of a name if not given."
)


def matched_classes(
    source: Source, dataset: Dataset, names: Sequence[str] | str | None
) -> np.ndarray | None:
    """Return the network's class for each class of the data, None if equal.

    Classes are matched by name or id where these are known, since folders are
    in alphabetical order.

    Args:
        source: `Source`. The network.
        dataset: `Dataset`. The data.
        names: None, str or sequence of str. The names of the network's
            classes, or the data set of `irevnet_tf.decode_predictions` that
            has them; None if not known.

    Raises:
        app.UsageError: if the network is no classifier, or if its classes are
            not those of the data.
    """
    shapes = [tuple(x.shape) for x in source.model.outputs]
    if len(shapes) != 1 or len(shapes[0]) != 2:
        raise app.UsageError(
            "The network must end in a classifier. "
            f"Received: {source.name} with output shapes {shapes}"
        )
    count = shapes[0][-1]
    if names is None:
        if len(dataset.class_names) != count:
            raise app.UsageError(
                f"--dataset must have {count} classes, as the network tells "
                f"apart. Received: --dataset={dataset.name}, with "
                f"{len(dataset.class_names)}"
            )
        say(
            "Nothing tells the names of the network's classes: taking them for "
            f"{_listed(dataset.class_names)}, in this order. --class_names "
            "says them."
        )
        return None
    known = class_aliases(names)
    if len(known) != count:
        raise app.UsageError(
            f"--class_names must be the network's {count} classes. "
            f"Received: {len(known)} names"
        )
    places = class_places(names, dataset.class_names)
    unfit = [
        name
        for name, place in zip(dataset.class_names, places, strict=True)
        if place is None
    ]
    if unfit:
        raise app.UsageError(
            "--dataset must have classes of which the network knows one each, "
            f"by name or id: {_listed([name for name, *_ in known])}. "
            f"Received: --dataset={dataset.name}, with {_listed(unfit)}"
        )
    return np.array(places)


def _listed(names, most=20) -> str:
    text = ", ".join(names[:most])
    return f"{text}, ..." if len(names) > most else text
