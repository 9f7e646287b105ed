"""What the first layer of a network keeps about its images."""


class KeepsPreprocessing:
    """A Keras layer that keeps how the images of its network were scaled."""

    @property
    def preprocessing(self) -> str | None:
        """The `mode` of `irevnet_tf.preprocess_input`, None if unknown.

        The layer computes nothing with it.
        """
        return self._preprocessing

    @preprocessing.setter
    def preprocessing(self, mode):
        if mode is not None and not isinstance(mode, str):
            raise ValueError(
                "`preprocessing` must be None or a string, a mode of "
                "`irevnet_tf.preprocess_input`. "
                f"Received: preprocessing={mode!r}"
            )
        self._preprocessing = mode
