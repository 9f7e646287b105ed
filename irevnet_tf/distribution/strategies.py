"""make_strategy: TensorFlow's distribution strategies by name."""

import json
import os

import tensorflow as tf

from irevnet_tf.distribution.keras_fit import enable_multi_worker_fit

STRATEGIES = ("none", "mirrored", "multi_worker", "tpu")

_WORKER_TYPES = ("chief", "worker")
_TF_CONFIG_EXAMPLE = (
    '{"cluster": {"worker": ["host0:2222", "host1:2222"]}, '
    '"task": {"type": "worker", "index": 0}}'
)


def make_strategy(name: str) -> tf.distribute.Strategy:
    """Return the strategy with a name, for this process.

    Call it before anything else uses TensorFlow. Build and compile models in
    the strategy's scope. Under Slurm, run one task a node, or let Slurm give
    each task separate GPUs (`--gpus-per-task`).

    Example:

    >>> strategy = irevnet_tf.distribution.make_strategy("mirrored")
    >>> with strategy.scope():
    ...     model = irevnet_tf.IRevNet28(input_shape=(8, 8, 1), classes=10)
    ...     model.compile("sgd", "sparse_categorical_crossentropy")

    Args:
        name: str. One of `STRATEGIES`. `"none"`: one device. `"mirrored"`: all
            GPUs of this machine, or where there are none, all logical CPUs.
            `"multi_worker"`: all GPUs of all machines (or their CPUs), one
            process on each; the environment variable `TF_CONFIG` or else Slurm
            names the other processes. Waits for them, and makes Keras' `fit`
            work there (see `enable_multi_worker_fit`). `"tpu"`: all TPU cores.

    Returns:
        A `tf.distribute.Strategy`.

    Raises:
        ValueError: if the name is unknown; if no workers or no TPU can be
            found; if `TF_CONFIG` is invalid.
    """
    if name not in STRATEGIES:
        raise ValueError(
            f"`name` must be one of {STRATEGIES}. Received: name={name!r}"
        )
    if name == "mirrored":
        return _mirrored()
    if name == "multi_worker":
        return _multi_worker()
    if name == "tpu":
        return _tpu()
    return tf.distribute.get_strategy()


def _mirrored():
    if tf.config.list_logical_devices("GPU"):
        return tf.distribute.MirroredStrategy()
    cpus = tf.config.list_logical_devices("CPU")
    return tf.distribute.MirroredStrategy([cpu.name for cpu in cpus])


def _multi_worker():
    enable_multi_worker_fit()
    if "TF_CONFIG" in os.environ:
        _check_tf_config(os.environ["TF_CONFIG"])
        resolver = tf.distribute.cluster_resolver.TFConfigClusterResolver()
    elif "SLURM_PROCID" in os.environ:
        resolver = _slurm_resolver()
    else:
        raise ValueError(
            "Training on several workers needs to know them: either by the "
            "environment variable TF_CONFIG, like "
            f"TF_CONFIG='{_TF_CONFIG_EXAMPLE}' with the same cluster and "
            "another index for each worker, or by Slurm, with every worker "
            "started by srun. Received: neither TF_CONFIG nor SLURM_PROCID "
            "in the environment"
        )
    # NCCL where there are GPUs, else rings of gRPC.
    return tf.distribute.MultiWorkerMirroredStrategy(resolver)


def _check_tf_config(text):
    """Raise ValueError unless TensorFlow can find the workers in `text`."""
    try:
        config = json.loads(text)
        cluster, task = config["cluster"], config["task"]
        cluster["worker"]
        kind, index = task["type"], int(task["index"])
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"The environment variable TF_CONFIG must be JSON like "
            f"{_TF_CONFIG_EXAMPLE}. Received: TF_CONFIG={text!r}"
        ) from error
    if kind not in _WORKER_TYPES or kind not in cluster:
        raise ValueError(
            f"TF_CONFIG's task must have one of the types {_WORKER_TYPES}, "
            f"and one that is in its cluster. Received: type={kind!r} in "
            f"TF_CONFIG={text!r}"
        )
    if not 0 <= index < len(cluster[kind]):
        raise ValueError(
            "TF_CONFIG's task must have an index from 0 to "
            f"{len(cluster[kind]) - 1}, as its cluster has "
            f"{len(cluster[kind])} of type {kind!r}. Received: "
            f"index={index} in TF_CONFIG={text!r}"
        )


def _slurm_resolver():
    """Return a resolver of the workers of a Slurm job step.

    TensorFlow's resolver assigns the GPUs of a node, which fails where there
    are none and repeats what Slurm has done. Here it only names the hosts, and
    each worker takes the GPUs that it sees.
    """
    try:
        # Differs from other jobs' ports on the same node, and is below the
        # ports that systems give away.
        port = 16384 + int(os.environ["SLURM_JOB_ID"]) % 1000 * 16
        resolver = tf.distribute.cluster_resolver.SlurmClusterResolver(
            port_base=port,
            gpus_per_node=int(os.environ["SLURM_STEP_NUM_TASKS"]),
            gpus_per_task=1,
            auto_set_gpu=False,
        )
    except (KeyError, RuntimeError) as error:
        raise ValueError(
            "Under Slurm every worker must be started by srun, which sets "
            "SLURM_STEP_NUM_TASKS, SLURM_STEP_NODELIST and "
            f"SLURM_STEP_TASKS_PER_NODE. Received: {error}"
        ) from error
    cluster = resolver.cluster_spec()
    task_type, task_id = resolver.get_task_info()
    gpus = len(tf.config.list_physical_devices("GPU"))
    return tf.distribute.cluster_resolver.SimpleClusterResolver(
        cluster,
        task_type=task_type,
        task_id=task_id,
        num_accelerators={"GPU": gpus},
        rpc_layer="grpc",
    )


def _tpu():
    try:
        # "local" on a TPU machine; elsewhere TPU_NAME names the TPU.
        resolver = tf.distribute.cluster_resolver.TPUClusterResolver(
            os.environ.get("TPU_NAME", "local")
        )
        if resolver.cluster_spec().jobs:
            tf.config.experimental_connect_to_cluster(resolver)
        tf.tpu.experimental.initialize_tpu_system(resolver)
    except (tf.errors.OpError, RuntimeError, ValueError) as error:
        raise ValueError(
            "Training on a TPU needs one, and a TensorFlow built for it. Even "
            "then Keras' fit is reported to fail there "
            "(https://github.com/keras-team/keras/issues/19448). Received: "
            f"no TPU, since {error}"
        ) from error
    return tf.distribute.TPUStrategy(resolver)
