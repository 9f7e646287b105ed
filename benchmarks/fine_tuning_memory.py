"""Peak memory that a block adds to fine-tuning, however the base is nested.

    python benchmarks/fine_tuning_memory.py

Trains all of a network of 4 and of 20 blocks, 32 channels per stream, on
32 x 32 images, batch 128, for two steps: as it is, called in another model,
in a `Sequential`, and with its graph extended. Each in a process of its own;
the difference in peak resident memory is divided by the 16 blocks. Takes
about three minutes on two cores and 2 GB.
"""

import json

import measure

DEPTHS = (4, 20)
STEPS = 2
WAYS = {
    "plain": "the network with its own classifier",
    "nested": "head(base(inputs))",
    "sequential": "Sequential([base, head])",
    "extended": "Model(base.input, head(base.output))",
}


def child(how, depth, memory_saving):
    import keras
    import numpy as np

    model = build(how, depth, memory_saving)
    model.compile(
        keras.optimizers.SGD(0.01, momentum=0.9),
        "sparse_categorical_crossentropy",
    )
    model.optimizer.build(model.trainable_variables)
    images = np.random.rand(128, 32, 32, 3).astype("float32")
    labels = np.random.randint(0, 10, 128)
    for _ in range(STEPS):
        model.train_on_batch(images, labels)
    return measure.peak_memory()


def build(how, depth, memory_saving):
    import keras

    import irevnet_tf

    base = irevnet_tf.IRevNet(
        (depth,),
        (1,),
        (32,),
        initial_downsampling=1,
        input_shape=(32, 32, 3),
        classes=10,
        include_top=how == "plain",
        pooling="avg",
        memory_saving=memory_saving,
    )
    head = keras.layers.Dense(10, activation="softmax")
    if how == "plain":
        return base
    if how == "sequential":
        return keras.Sequential([base, head])
    if how == "extended":
        return keras.Model(base.input, head(base.output))
    inputs = keras.Input((32, 32, 3))
    return keras.Model(inputs, head(base(inputs)))


def main():
    rows = []
    for how, description in WAYS.items():
        per_block = {}
        for memory_saving in (False, True):
            peaks = [
                measure.in_own_process(
                    __file__, how=how, depth=depth, memory_saving=memory_saving
                )["peak"]
                for depth in DEPTHS
            ]
            per_block[memory_saving] = (peaks[1] - peaks[0]) / (
                DEPTHS[1] - DEPTHS[0]
            )
        rows.append(
            [
                description,
                f"{per_block[False]:.1f}",
                f"{per_block[True]:.1f}",
                f"{per_block[True] / per_block[False]:.3f}",
            ]
        )
    measure.print_table(
        [
            "fine-tuned model",
            "MB per added block, saving off",
            "saving on",
            "ratio",
        ],
        rows,
    )


if __name__ == "__main__":
    arguments = measure.child_arguments()
    if arguments is None:
        main()
    else:
        print(json.dumps({"peak": child(**arguments)}))
