"""Train, evaluate, invert, export and serve a network; print a summary.

    python -m irevnet_tf.apps.demo --run_dir=runs/demo

Takes the flags of irevnet-train.
"""

import pathlib
import time

import numpy as np
from absl import flags

from irevnet_tf.apps import train
from irevnet_tf.apps.evaluate import evaluate_run
from irevnet_tf.apps.evaluate import table
from irevnet_tf.apps.export import export_run
from irevnet_tf.apps.flags import from_flags
from irevnet_tf.apps.invert import draw_inversions
from irevnet_tf.apps.launch import launch
from irevnet_tf.apps.launch import refuse_arguments
from irevnet_tf.export.checks import WHITE
from irevnet_tf.serving import Client
from irevnet_tf.serving import LocalServer
from irevnet_tf.training import RunConfig
from irevnet_tf.training import RunOptions
from irevnet_tf.training import TrainedRun
from irevnet_tf.training import count_parameters
from irevnet_tf.training import load_trained_run

flags.adopt_module_key_flags(train)

PICTURE_IMAGES = 10
EXPORT_FOLDER = "saved_model"
MODEL_NAME = "demo"


def served_round_trip(trained: TrainedRun, folder: pathlib.Path) -> str:
    """Send test images to a server of the export, and get them back from it.

    Args:
        trained: `TrainedRun`. The run that was exported.
        folder: path. The directory of the export's versions.

    Returns:
        The result, in a line.
    """
    dataset = trained.dataset
    images, _ = dataset.arrays("test")
    shades = dataset.normalization.undo(images)
    to_bytes = WHITE / dataset.normalization.maximum
    with (
        LocalServer(folder, MODEL_NAME) as server,
        Client(server.rest_address, MODEL_NAME) as client,
    ):
        raw = shades * to_bytes
        classes = client.classify(raw).classes
        again = client.decode(client.encode(raw)) / to_bytes
    predictions = np.argmax(trained.model.predict(images, verbose=0), axis=-1)
    same = np.sum(
        [
            dataset.class_names[index] == name
            for index, name in zip(predictions, classes, strict=True)
        ]
    )
    lost = np.sum(np.rint(again) != np.rint(shades))
    return (
        f"{same} of {len(images)} images classified as in Keras, "
        f"{lost} of {images.size:,} pixels lost on the way back"
    )


def main(argv: list[str]) -> None:
    refuse_arguments(argv)
    start = time.monotonic()
    request = from_flags(train.Request)
    train.train_run(
        request.run_dir,
        from_flags(RunConfig),
        request.data_dir,
        from_flags(RunOptions),
    )
    # From the files, as irevnet-evaluate and irevnet-invert would.
    trained = load_trained_run(request.run_dir, request.data_dir)
    result = evaluate_run(trained)
    picture = trained.directory.picture_path
    draw_inversions(trained, picture, PICTURE_IMAGES)
    export_folder = trained.directory.path / EXPORT_FOLDER
    version = export_run(trained, export_folder)
    served = served_round_trip(trained, export_folder)
    print(
        f"\n{table(result)}\n"
        f"parameters                {count_parameters(trained.model):,}\n"
        f"seconds                   {time.monotonic() - start:.0f}\n"
        f"picture                   {picture}\n"
        f"exported to               {version}\n"
        f"served                    {served}"
    )


def run() -> None:
    launch(main)


if __name__ == "__main__":
    run()
