"""Compare networks: train them by one recipe, with several seeds each.

    irevnet-compare --flagfile=recipes/comparison.flags --output=runs/table

The flags of irevnet-train are the recipe, but for --model and --seed, which is
the first of the seeds. Networks without an inverse or memory saving are trained
without. Each run is a run directory of its own, in runs/ of --output; the same
command continues an interrupted one. Then training steps are measured, in
turns, and table.md and comparison.png are written.
"""

import dataclasses
import pathlib
import statistics
import sys

from absl import app

from irevnet_tf.apps.comparing.figure import comparison_figure
from irevnet_tf.apps.comparing.runs import RunFailed
from irevnet_tf.apps.comparing.runs import carry_out
from irevnet_tf.apps.comparing.runs import plan
from irevnet_tf.apps.comparing.steps import Cost
from irevnet_tf.apps.comparing.steps import StepsFailed
from irevnet_tf.apps.comparing.steps import measure
from irevnet_tf.apps.comparing.table import row_of
from irevnet_tf.apps.comparing.table import write_table
from irevnet_tf.apps.flags import DATA_DIR
from irevnet_tf.apps.flags import define_flags
from irevnet_tf.apps.flags import from_flags
from irevnet_tf.apps.launch import check_writable
from irevnet_tf.apps.launch import launch
from irevnet_tf.apps.launch import refuse_arguments
from irevnet_tf.apps.launch import say
from irevnet_tf.apps.launch import usage_errors
from irevnet_tf.memory import can_measure
from irevnet_tf.models.constructors import CONSTRUCTORS
from irevnet_tf.pictures import write_picture
from irevnet_tf.reconstruction import inverted
from irevnet_tf.settings import setting
from irevnet_tf.training import RunConfig
from irevnet_tf.training import count_parameters
from irevnet_tf.training import load_data
from irevnet_tf.training import load_trained_run
from irevnet_tf.training import run_length

TABLE_FILE = "table.md"
PICTURE_FILE = "comparison.png"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Request:
    """The flags, by their names, besides those of the recipe."""

    networks: tuple[str, ...] = setting(
        (), "A network to compare; may be given several times."
    )
    seeds: int = setting(3, "How many runs each network gets.", least=1)
    rounds: int = setting(
        3, "How often the steps of each network are measured.", least=1
    )
    output: str | None = setting(
        None, "Directory for the runs, the table and the picture."
    )
    data_dir: str | None = setting(None, DATA_DIR)


# Those of `irevnet_tf.apps.commands`, too.
KINDS = (Request, RunConfig)


def compare(request: Request, recipe: RunConfig) -> None:
    """Train, measure, and write the table and the picture.

    Args:
        request: `Request`. The networks, and where to write.
        recipe: `RunConfig`. What all runs have in common.

    Raises:
        app.UsageError: if anything is not as it should be.
        RunFailed: if a run ends early.
        RuntimeError: if steps cannot be measured.
    """
    output = _check(request)
    with usage_errors():
        # Once, and before any run.
        dataset = load_data(recipe, request.data_dir)
        epochs = run_length(recipe, dataset).epochs
        runs = plan(recipe, request.networks, request.seeds, output, epochs)
    carry_out(runs, request.data_dir)
    by_network = {
        network: [run for run in runs if run.network == network]
        for network in request.networks
    }
    costs = _measure_in_turns(by_network, request)
    rows = []
    for network, of_network in by_network.items():
        model = load_trained_run(of_network[0].path, request.data_dir).model
        saving, plain = costs[network]
        rows.append(
            row_of(
                network,
                of_network,
                parameters=count_parameters(model),
                inverted=inverted(model),
                saving=saving,
                plain=plain,
            )
        )
    length = f"{recipe.epochs} epochs"
    if recipe.steps is not None:
        length = f"{recipe.steps} steps"
    about = (
        f"{recipe.dataset}, {recipe.train_split or 'train'}, {length}, "
        f"seeds {recipe.seed} to {recipe.seed + request.seeds - 1}. Steps: "
        f"batches of {recipe.batch_size}, 1 is {rows[0].plain.seconds:.3f} s."
    )
    write_table(rows, output / TABLE_FILE, about)
    write_picture(comparison_figure(by_network, rows), output / PICTURE_FILE)
    say((output / TABLE_FILE).read_text(encoding="utf-8"))
    say(f"Wrote {output / TABLE_FILE} and {output / PICTURE_FILE}")


def _check(request):
    networks = request.networks
    unknown = [name for name in networks if name not in CONSTRUCTORS]
    if not networks or unknown or len(set(networks)) < len(networks):
        raise app.UsageError(
            "--networks must be different names, each one of "
            f"{', '.join(CONSTRUCTORS)}. Received: {list(networks)}"
        )
    if request.output is None:
        raise app.UsageError(
            "--output must be a directory. Received: --output=None"
        )
    if not can_measure():
        raise app.UsageError(
            "irevnet-compare reads the memory of processes in /proc: it needs "
            f"Linux. Received: {sys.platform}"
        )
    check_writable("--output", request.output, TABLE_FILE)
    return pathlib.Path(request.output)


def _measure_in_turns(by_network, request):
    """Return the costs with and without memory saving, of each network.

    They are medians over rounds in which the networks take turns, since other
    work on the machine hits all alike then.
    """
    found = {(name, saving): [] for name in by_network for saving in (1, 0)}
    for turn in range(request.rounds):
        for network, runs in by_network.items():
            say(f"steps of {network}, round {turn + 1} of {request.rounds}")
            config = runs[0].config
            kinds = (True, False) if config.memory_saving else (False,)
            for saving in kinds:
                changed = dataclasses.replace(config, memory_saving=saving)
                cost = measure(changed, request.data_dir)
                found[network, saving].append(cost)
    return {
        name: tuple(_median(found[name, saving]) for saving in (True, False))
        for name in by_network
    }


def _median(costs):
    if not costs:
        return None
    return Cost(
        statistics.median(cost.seconds for cost in costs),
        round(statistics.median(cost.bytes for cost in costs)),
    )


def main(argv: list[str]) -> int | None:
    refuse_arguments(argv)
    try:
        compare(from_flags(Request), from_flags(RunConfig))
    except RunFailed as error:
        say(f"{error}")
        return error.status
    except StepsFailed as error:
        say(f"{error}")
        return 1
    return None


def run() -> None:
    for kind in KINDS:
        define_flags(kind)
    launch(main)


if __name__ == "__main__":
    run()
