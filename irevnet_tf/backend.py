"""The one backend of Keras that this package is for."""


def require_tensorflow() -> None:
    """Look whether Keras runs on TensorFlow.

    Raises:
        ImportError: if it runs on something else.
    """
    try:
        import keras
    except ModuleNotFoundError as error:
        # Those that another backend consists of.
        if error.name not in ("jax", "openvino", "torch"):
            raise
        backend = f"one that needs {error.name}, which is not installed"
    else:
        backend = keras.config.backend()
    if backend != "tensorflow":
        raise ImportError(
            "irevnet_tf needs Keras' TensorFlow backend: set "
            "KERAS_BACKEND=tensorflow before importing keras. "
            f"Received: backend={backend}"
        )
