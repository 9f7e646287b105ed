"""The numbers of scaling.md: IRevNet301 on 8 to 1,024 GPUs, an estimate.

    python benchmarks/scaling.py
    python benchmarks/scaling.py --measure

Without the flag: what can be counted in the network itself, and the estimate
that follows from it and from the assumptions below. With it, what can be
measured on one machine: the all-reduce of as many bytes between two processes
over the loopback interface, and the decoding of JPEG files.
"""

import dataclasses
import json
import math
import os
import pathlib
import socket
import statistics
import subprocess
import sys
import tempfile
import time

import keras
import measure
import tensorflow as tf
from absl import app
from absl import flags
from sklearn.datasets import load_sample_images

import irevnet_tf
from irevnet_tf.data import load_dataset
from irevnet_tf.data import training_batches
from irevnet_tf.distribution.statistics import batch_norm_layers
from irevnet_tf.layers import ReversibleSequence
from irevnet_tf.memory import bytes_of
from irevnet_tf.training import RunConfig
from irevnet_tf.training import count_parameters
from irevnet_tf.training import estimate_memory

_MEASURE = flags.DEFINE_bool("measure", False, "Measure instead of counting.")

GPUS = (8, 16, 32, 64, 128, 256, 512, 1024)
GPUS_PER_NODE = 8
IMAGES_PER_GPU = 32  # The recipe's batch of 256 on eight GPUs.
EPOCHS = 128
IMAGES = 1_281_167

# Assumptions: the parts of the peaks that are reached.
COMPUTE = 0.2
LINK = 0.7
# A step is forward, and backward twice as much; memory saving runs the
# forward pass once more in the backward pass.
PASSES = 4
BACKWARD = 3 / 4
# Of the exchange, what cannot begin before the last gradient is there.
LAST_PART = 0.05


@dataclasses.dataclass(frozen=True)
class Cluster:
    """Peaks from the vendors' data sheets, and assumed times of a hop.

    Attributes:
        tflops: Dense peak of the tensor cores.
        nvlink: GB/s of a GPU in each direction.
        network: GB/s of a node of eight GPUs in each direction.
        hop: Seconds of a message between nodes.
    """

    tflops: float
    nvlink: float
    network: float
    hop: float

    def step(self, macs: float, images: int, compute: float = COMPUTE):
        """Return the seconds of a step without any exchange."""
        return PASSES * 2 * macs * images / (self.tflops * 1e12 * compute)

    def all_reduce(self, size: float, gpus: int) -> float:
        """Return the seconds of a ring all-reduce of `size` bytes."""
        bandwidth, hop = self.nvlink, 2e-6
        if gpus > GPUS_PER_NODE:
            bandwidth, hop = min(bandwidth, self.network), self.hop
        transfer = 2 * (gpus - 1) / gpus * size / (bandwidth * 1e9 * LINK)
        return transfer + 2 * (gpus - 1) * hop

    def small_all_reduce(self, gpus: int) -> float:
        """Return the seconds of a tree all-reduce of a few bytes."""
        hop = 2e-6 if gpus <= GPUS_PER_NODE else self.hop
        return 2 * math.log2(gpus) * hop


CLUSTERS = {
    "A100, TF32, InfiniBand": Cluster(156, 300, 200, 5e-6),
    "A100, bfloat16, InfiniBand": Cluster(312, 300, 200, 5e-6),
    "H100, bfloat16, InfiniBand": Cluster(989, 450, 400, 5e-6),
    "A100, bfloat16, Ethernet": Cluster(312, 300, 12.5, 25e-6),
}


def efficiencies(step, exchange):
    """Return the efficiency without and with overlap."""
    exposed = max(exchange - BACKWARD * step, LAST_PART * exchange)
    return step / (step + exchange), step / (step + exposed)


def both(step, exchange):
    return " / ".join(f"{e:.1%}" for e in efficiencies(step, exchange))


def multiply_adds(model):
    """Count the multiply-adds of an image from the shapes of the layers."""
    total = 0
    for layer in model.layers:
        if isinstance(layer, keras.layers.Dense):
            total += math.prod(layer.kernel.shape)
        if not isinstance(layer, ReversibleSequence):
            continue
        shapes = tuple(x.shape for x in layer.input)
        for block in layer.blocks:
            shape = shapes[1]
            for part in block.residual.layers:
                shape = part.compute_output_shape(shape)
                if isinstance(part, keras.layers.Conv2D):
                    places = math.prod(shape[1:3])
                    total += places * math.prod(part.kernel.shape)
            shapes = block.compute_output_shape(shapes)
    return total


def gradient_dtypes():
    """Return the types of the gradients under mixed_bfloat16."""
    keras.config.set_dtype_policy("mixed_bfloat16")
    model = irevnet_tf.IRevNet28(input_shape=(8, 8, 1))
    keras.config.set_dtype_policy("float32")
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(model(tf.zeros((2, 8, 8, 1)), training=True))
    variables = [v.value for v in model.trainable_variables]
    return {g.dtype.name for g in tape.gradient(loss, variables)}


def estimate():
    config = RunConfig(model="IRevNet301")
    models = {
        saving: irevnet_tf.IRevNet301(memory_saving=saving, lossless=True)
        for saving in (True, False)
    }
    model = models[True]
    parameters = count_parameters(model)
    macs = multiply_adds(model)
    gradients = bytes_of(model.trainable_variables)
    norms = len(batch_norm_layers(model))
    checkpoint = bytes_of(model.variables) + gradients
    gigabytes = {
        (saving, images): estimate_memory(models[saving], config, images).total
        / 1e9
        for saving in models
        for images in (32, 128)
    }
    print("Counted:\n")
    measure.print_table(
        ["of IRevNet301, 224x224", "number"],
        [
            ["parameters", f"{parameters:,}"],
            ["multiply-adds of an image, forward", f"{macs / 1e6:,.2f}M"],
            ["BatchNorms", norms],
            ["gradients, float32, MB", f"{gradients / 1e6:.1f}"],
            ["gradients, bfloat16, MB", f"{gradients / 2e6:.1f}"],
            [
                "types of the gradients under mixed_bfloat16",
                ", ".join(sorted(gradient_dtypes())),
            ],
            ["checkpoint, momentum included, MB", f"{checkpoint / 1e6:.0f}"],
            *(
                [
                    f"memory, {images} images, memory saving "
                    f"{'on' if saving else 'off'}, GB",
                    f"{value:.1f}",
                ]
                for (saving, images), value in gigabytes.items()
            ),
        ],
    )

    print(f"\nEstimated, {IMAGES_PER_GPU} images on each GPU:\n")
    rows = []
    for name, cluster in CLUSTERS.items():
        step = cluster.step(macs, IMAGES_PER_GPU)
        rate = IMAGES_PER_GPU / step
        exchange = cluster.all_reduce(gradients, 8)
        days = EPOCHS * IMAGES / (8 * IMAGES_PER_GPU) * (step + exchange)
        rows.append(
            [name, f"{step * 1e3:.1f}", f"{rate:.0f}", f"{days / 86400:.1f}"]
        )
    measure.print_table(
        ["cluster", "step, ms", "images/s of a GPU", "days on 8 GPUs"], rows
    )

    print("\nEfficiency, without / with overlap:\n")
    measure.print_table(
        ["GPUs", *CLUSTERS],
        [
            [
                gpus,
                *(
                    both(
                        cluster.step(macs, IMAGES_PER_GPU),
                        cluster.all_reduce(gradients, gpus),
                    )
                    for cluster in CLUSTERS.values()
                ),
            ]
            for gpus in GPUS
        ],
    )

    print("\nOf a step on A100s, ms:\n")
    band = CLUSTERS["A100, bfloat16, InfiniBand"]
    slow = CLUSTERS["A100, bfloat16, Ethernet"]
    # Mean and variance: forward, again in the backward pass, and backward.
    exchanges = 6 * norms
    measure.print_table(
        [
            "GPUs",
            "exchange, InfiniBand",
            "of bfloat16",
            "exchange, Ethernet",
            "of bfloat16",
            "synchronized BatchNorm, InfiniBand",
        ],
        [
            [
                gpus,
                *(
                    f"{cluster.all_reduce(size, gpus) * 1e3:.1f}"
                    for cluster in (band, slow)
                    for size in (gradients, gradients / 2)
                ),
                f"{exchanges * band.small_all_reduce(gpus) * 1e3:.0f}",
            ]
            for gpus in GPUS
        ],
    )

    print("\nEfficiency on 1,024 A100s, bfloat16, by assumption:\n")
    measure.print_table(
        ["images on a GPU", "part of the peak", "InfiniBand", "Ethernet"],
        [
            [
                images,
                compute,
                *(
                    both(
                        cluster.step(macs, images, compute),
                        cluster.all_reduce(gradients, 1024),
                    )
                    for cluster in (band, slow)
                ),
            ]
            for images in (32, 128)
            for compute in (0.1, 0.2, 0.4)
        ],
    )


def loopback_all_reduce(sizes):
    """Return the seconds of an all-reduce of each size by two processes."""
    ports = []
    for _ in range(2):
        with socket.socket() as sock:
            sock.bind(("localhost", 0))
            ports.append(sock.getsockname()[1])
    workers = [f"localhost:{port}" for port in ports]
    processes = [
        subprocess.Popen(
            [sys.executable, __file__, "--child", json.dumps({"sizes": sizes})],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={
                **os.environ,
                "TF_CONFIG": json.dumps(
                    {
                        "cluster": {"worker": workers},
                        "task": {"type": "worker", "index": index},
                    }
                ),
            },
        )
        for index in range(2)
    ]
    try:
        outputs = [p.communicate(timeout=240)[0] for p in processes]
    finally:
        for process in processes:
            process.kill()
    return json.loads(outputs[0].splitlines()[-1])


def all_reduce_seconds(sizes):
    strategy = tf.distribute.MultiWorkerMirroredStrategy()
    result = []
    for size in sizes:

        @tf.function
        def step(size=size):
            def of_replica():
                values = tf.ones((size // 4,))
                replica = tf.distribute.get_replica_context()
                return tf.reduce_max(replica.all_reduce("SUM", values))

            return strategy.run(of_replica)

        assert float(step()) == 2.0
        seconds = []
        for _ in range(7):
            start = time.perf_counter()
            float(step())
            seconds.append(time.perf_counter() - start)
        result.append(statistics.median(seconds))
    return result


def decoding_rate():
    """Return images that a core decodes and augments in a second."""
    images = load_sample_images().images
    config = RunConfig(
        max_shift=0, flip=True, random_resized_crop=True, color_jitter=0.5
    )
    with tempfile.TemporaryDirectory() as folder:
        sizes = []
        for split, copies in (("train", 256), ("test", 1)):
            for label, image in enumerate(images):
                # About the mean size of ImageNet's images.
                small = tf.image.resize(image, (375, 500))
                data = tf.io.encode_jpeg(tf.cast(small, "uint8"), quality=95)
                sizes.append(len(data.numpy()))
                path = pathlib.Path(folder, split, f"class{label}")
                path.mkdir(parents=True)
                for number in range(copies):
                    (path / f"{number}.jpg").write_bytes(data.numpy())
        dataset = load_dataset(folder, image_size=224)
        rates = []
        for epoch in range(4):
            start = time.process_time()
            for _ in training_batches(
                dataset, config, 64, epoch=epoch, steps=8, seed=0
            ):
                pass
            rates.append(512 / (time.process_time() - start))
    return statistics.median(rates), statistics.mean(sizes)


def measurements():
    sizes = [4, 500_481_424]
    small, large = loopback_all_reduce(sizes)
    rate, size = decoding_rate()
    measure.print_table(
        ["measured", "number"],
        [
            ["all-reduce of 4 bytes, ms", f"{small * 1e3:.2f}"],
            [f"all-reduce of {sizes[1] / 1e6:.1f} MB, s", f"{large:.2f}"],
            ["the same, GB/s", f"{sizes[1] / large / 1e9:.2f}"],
            [f"JPEG of {size / 1e3:.0f} kB, images/s of a core", f"{rate:.0f}"],
        ],
    )


def main(argv):
    del argv
    measurements() if _MEASURE.value else estimate()


if __name__ == "__main__":
    arguments = measure.child_arguments()
    if arguments:
        print(json.dumps(all_reduce_seconds(**arguments)))
    else:
        app.run(main)
