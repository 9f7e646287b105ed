"""Peak memory that a block adds to training, memory saving on and off.

    python benchmarks/memory.py

Trains 8 and 44 blocks of 48 channels per stream on 32 x 32 images, batch 256,
a few steps, each in a process of its own, and divides the difference in peak
resident memory by the 36 blocks. Three runs each; the median counts, since
the order in which the executor frees memory changes from run to run. Takes
about ten minutes on two cores and 9 GB.
"""

import json
import statistics

import measure

DEPTHS = (8, 44)
RUNS = 3
STEPS = 3


def child(depth, memory_saving):
    import keras
    import numpy as np

    import irevnet_tf

    model = irevnet_tf.IRevNet(
        (depth,),
        (1,),
        (48,),
        initial_downsampling=1,
        input_shape=(32, 32, 3),
        classes=10,
        memory_saving=memory_saving,
    )
    model.compile(
        keras.optimizers.SGD(0.01, momentum=0.9),
        "sparse_categorical_crossentropy",
    )
    model.optimizer.build(model.trainable_variables)
    images = np.random.rand(256, 32, 32, 3).astype("float32")
    labels = np.random.randint(0, 10, 256)
    for _ in range(STEPS):
        model.train_on_batch(images, labels)
    return measure.peak_memory()


def main():
    rows = []
    per_block = {}
    for memory_saving in (False, True):
        peaks = [
            statistics.median(
                measure.in_own_process(
                    __file__, depth=depth, memory_saving=memory_saving
                )["peak"]
                for _ in range(RUNS)
            )
            for depth in DEPTHS
        ]
        per_block[memory_saving] = (peaks[1] - peaks[0]) / (
            DEPTHS[1] - DEPTHS[0]
        )
        rows.append(
            [
                "on" if memory_saving else "off",
                *(f"{peak:.0f}" for peak in peaks),
                f"{per_block[memory_saving]:.1f}",
            ]
        )
    measure.print_table(
        [
            "memory saving",
            *(f"peak MB, {depth} blocks" for depth in DEPTHS),
            "MB per added block",
        ],
        rows,
    )
    print(f"ratio: {per_block[True] / per_block[False]:.3f} (bar: 0.05)")


if __name__ == "__main__":
    arguments = measure.child_arguments()
    if arguments is None:
        main()
    else:
        print(json.dumps({"peak": child(**arguments)}))
