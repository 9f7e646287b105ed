"""The model class of i-RevNets, which records how images were scaled."""

import keras
from tensorflow.python.eager import context

from irevnet_tf.layers.kept_preprocessing import KeepsPreprocessing
from irevnet_tf.models.chain import Chain
from irevnet_tf.models.chains import find_chains


@keras.saving.register_keras_serializable(package="irevnet_tf")
class Functional(keras.Model):
    """A Keras Functional model that knows how its images were scaled.

    The first `InvertibleDownsampling` or `PatchEmbedding` keeps that, so files,
    clones and pickles of the model have it, and so has every other model with
    this layer.

    The class has the name of Keras' class, since Keras uses the name: in the
    paths inside weights files of models that hold this one, in `.h5` files,
    and in what `keras.callbacks.TensorBoard` draws.

    Args:
        inputs: Keras tensor, or structure of them. The model's inputs.
        outputs: Keras tensor, or structure of them. The model's outputs.
        name: None or str. Name of the model.
    """

    @property
    def preprocessing(self) -> str | None:
        """The mode of `irevnet_tf.preprocess_input`, None if unknown.

        Setting it raises ValueError if the model has no such layer, or for
        anything else than a string or None.
        """
        return getattr(self._keeper(), "preprocessing", None)

    @preprocessing.setter
    def preprocessing(self, mode):
        keeper = self._keeper()
        if keeper is None:
            raise ValueError(
                "`preprocessing` can be set on models with an "
                "InvertibleDownsampling or PatchEmbedding layer, which keeps "
                "it. "
                f"Received: model={self.name}, preprocessing={mode!r}"
            )
        keeper.preprocessing = mode

    def make_train_function(self, force=False):
        """Build the optimizer, then the training function, as Keras does.

        Keras leaves the optimizer's variables to the first step, which
        TensorFlow then traces twice: with hundreds of weights, half of the
        time until training begins.
        """
        # A custom training step may give it other variables.
        is_keras = type(self).train_step is keras.Model.train_step
        if is_keras and self.optimizer is not None and not self.optimizer.built:
            with self.distribute_strategy.scope():
                self.optimizer.build(self.trainable_variables)
            # TensorFlow keeps the operation that made a variable, 37 kB each,
            # for a next one of the same name, which never comes.
            context.context().clear_kernel_cache()
        return super().make_train_function(force)

    def _keeper(self):
        return next(_keepers(self.layers), None)


def find_preprocessing(chain: Chain) -> str | None:
    """Return how the images of a chain of layers were scaled, if known.

    An i-RevNet from an older file is a plain Functional model. A value that a
    user set on it counts too, though it is an ordinary attribute.

    Args:
        chain: `Chain`. A model's invertible layers, see `chains.find_chain`.
    """
    modes = [getattr(chain.model, "preprocessing", None)]
    # A PatchEmbedding is in front of the chain.
    layers = [*chain.layers, *chain.model.layers]
    modes += [layer.preprocessing for layer in _keepers(layers)]
    return next(filter(None, modes), None)


def preprocessing_of(model: keras.Model) -> str | None:
    """Return how a network's images were scaled, if known.

    Args:
        model: Keras model. Any model.
    """
    chains = find_chains(model)
    if chains:
        return find_preprocessing(chains[0])
    return getattr(model, "preprocessing", None)


def _keepers(layers):
    """Yield the layers that keep a scale, also inside other layers."""
    for layer in layers:
        for part in layer._flatten_layers():
            if isinstance(part, KeepsPreprocessing):
                yield part
