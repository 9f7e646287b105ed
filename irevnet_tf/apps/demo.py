"""Train, evaluate and invert a network, and sum up in a table.

    python -m irevnet_tf.apps.demo --run_dir=runs/demo

Takes the flags of irevnet-train.
"""

import time

from absl import flags

from irevnet_tf.apps import train
from irevnet_tf.apps.config_flags import config_from_flags
from irevnet_tf.apps.data_flags import DATA_DIR
from irevnet_tf.apps.evaluate import evaluate_run
from irevnet_tf.apps.evaluate import table
from irevnet_tf.apps.invert import draw_inversions
from irevnet_tf.apps.launch import launch
from irevnet_tf.apps.launch import refuse_arguments
from irevnet_tf.apps.run_flags import RUN_DIR
from irevnet_tf.apps.trained_run import load_trained_run
from irevnet_tf.training import count_parameters

flags.adopt_module_key_flags(train)

PICTURE_IMAGES = 10


def main(argv: list[str]) -> None:
    refuse_arguments(argv)
    start = time.monotonic()
    train.train_run(
        RUN_DIR.value,
        config_from_flags(),
        DATA_DIR.value,
        train.options_from_flags(),
    )
    # From the files, as irevnet-evaluate and irevnet-invert would.
    trained = load_trained_run(RUN_DIR.value, DATA_DIR.value)
    result = evaluate_run(trained)
    picture = trained.directory.picture_path
    draw_inversions(trained, picture, PICTURE_IMAGES)
    print(
        f"\n{table(result)}\n"
        f"parameters                {count_parameters(trained.model):,}\n"
        f"seconds                   {time.monotonic() - start:.0f}\n"
        f"picture                   {picture}"
    )


def run() -> None:
    launch(main)


if __name__ == "__main__":
    run()
