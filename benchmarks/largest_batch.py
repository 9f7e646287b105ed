"""What memory one step of `IRevNet301` takes, for batches of 224x224.

    python benchmarks/largest_batch.py --plain=145 --memory_saving=2600

One step of each batch size, each in a process of its own, and the memory at
its peak, or that there was not enough. A step of 2,000 images takes 15 minutes
on two cores.
"""

import json

import measure

PIXELS = 224


def step(size, memory_saving) -> float:
    """Return the peak memory, in MB, of a process that trains one step."""
    import tensorflow as tf

    import irevnet_tf
    from irevnet_tf.training import SGD

    model = irevnet_tf.IRevNet301(memory_saving=memory_saving)
    model.compile(SGD(0.01, momentum=0.9), "sparse_categorical_crossentropy")
    images = tf.random.normal((size, PIXELS, PIXELS, 3))
    model.train_on_batch(images, tf.zeros((size,), "int32"))
    return measure.peak_memory()


def main(_):
    rows = []
    for flag in (_PLAIN, _MEMORY_SAVING):
        for size in map(int, flag.value):
            arguments = {
                "size": size,
                "memory_saving": flag is _MEMORY_SAVING,
            }
            try:
                peak = measure.in_own_process(__file__, **arguments)["peak"]
                peak = f"{peak:,.0f}"
            except SystemExit:
                peak = "does not fit"
            rows.append((flag.name, size, peak))
            print(rows[-1], flush=True)
    measure.print_table(("step", "images", "peak MB"), rows)


if __name__ == "__main__":
    if (arguments := measure.child_arguments()) is not None:
        print(json.dumps({"peak": step(**arguments)}))
    else:
        from absl import app
        from absl import flags

        _PLAIN = flags.DEFINE_list("plain", ["145"], "Batch sizes.")
        _MEMORY_SAVING = flags.DEFINE_list(
            "memory_saving", ["2600"], "Batch sizes."
        )
        app.run(main)
