"""How time, memory and time to the first step grow: tables and a picture.

Each point is a process of its own. Part of `bench.py`.
"""

import contest
import matplotlib.pyplot as plt
import transformers

# Seconds of a first step after which nothing larger is tried.
PATIENCE = 150

CONTESTANTS = {
    "memory saving": ("couplings_tensorflow", {"mode": "memory saving"}),
    "plain": ("couplings_tensorflow", {"mode": "plain"}),
    "keras.remat": ("couplings_tensorflow", {"mode": "remat", "stock": True}),
    "MemCNN": ("couplings_pytorch", {"mode": "memcnn"}),
}
TURNS = 3

# {axis: (the rest, its values)}
AXES = {
    "depth": ({"size": 8}, (10, 30, 100, 300, 1000)),
    "pixels": ({"depth": 30, "size": 8}, (16, 32, 64, 128)),
    "size": ({"depth": 30}, (8, 32, 128, 256)),
}
QUICK_AXES = {"depth": ({"size": 8, "pixels": 16}, (4, 8, 16))}
LABELS = {
    "depth": "couplings",
    "pixels": "height and width",
    "size": "images in a batch",
    "blocks": "blocks of attention and MLP",
}
# Of `transformers`, whose depth is that axis.
TRANSFORMER_BLOCKS = (10, 24, 50, 100, 200)
MEASURES = {
    "step, s": lambda times: times.median,
    "peak memory, MB": lambda times: times.peak,
    "until the first step is done, s": lambda times: times.first,
}

TEXT = (
    "The couplings above, in batches of 8 unless said otherwise. A contestant "
    f"whose first step took longer than {PATIENCE} s, or which failed, was "
    "tried with nothing larger.",
    "",
    "![Time of a step, peak memory and time to the first step, against depth, "
    "pixels and batch](figures/growth.png)",
)


def measure_axis(axis, rest, values, contestants=None):
    """Return {contestant: {value: its times}}."""
    found = {}
    for name, (module, arguments) in (contestants or CONTESTANTS).items():
        found[name] = {}
        for value in values:
            try:
                times = contest.alone(
                    module, {**arguments, **rest, axis: value}, TURNS
                )
            except RuntimeError as error:  # Such as for want of memory.
                print(error, flush=True)
                break
            found[name][value] = times
            print(f"{axis}={value}, {name}: {times}", flush=True)
            if times.first > PATIENCE:
                break
    return found


def table(axis, found) -> list[str]:
    """Return the lines of a Markdown table."""
    values = sorted(set().union(*found.values()))
    lines = []
    for label, measure in MEASURES.items():
        lines += [
            "",
            f"| {LABELS[axis]}: {label} | "
            + " | ".join(map(str, values))
            + " |",
            "|---" * (len(values) + 1) + "|",
        ]
        for name, times in found.items():
            cells = [
                f"{measure(times[value]):,.4g}"
                if value in times
                else "not tried"
                for value in values
            ]
            lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return lines


def draw(results, path):
    """Draw {axis: what `measure_axis` returned}, one row an axis."""
    figure, axes = plt.subplots(
        len(results),
        len(MEASURES),
        figsize=(4 * len(MEASURES), 3.2 * len(results)),
        squeeze=False,
        layout="constrained",
    )
    for row, (axis, found) in zip(axes, results.items(), strict=True):
        for plot, (label, measure) in zip(row, MEASURES.items(), strict=True):
            for name, times in found.items():
                plot.plot(
                    list(times),
                    [measure(t) for t in times.values()],
                    marker="o",
                    label=name,
                )
            plot.set(xlabel=LABELS[axis], ylabel=label, xscale="log")
            plot.set_yscale("log")
            plot.grid(alpha=0.3)
    axes[0][0].legend()
    figure.savefig(path, dpi=110)
    plt.close(figure)


def measure_all(quick, minrev, is_wanted):
    """Return {axis: {contestant: {value: times}}}.

    Args:
        quick: bool.
        minrev: None or directory of minREV.
        is_wanted: function. Whether to measure the axis of a label.
    """
    found = {
        axis: measure_axis(axis, rest, values)
        for axis, (rest, values) in (QUICK_AXES if quick else AXES).items()
        if is_wanted(LABELS[axis])
    }
    if is_wanted(LABELS["blocks"]):
        found["blocks"] = measure_axis(
            "depth",
            {},
            (2, 4) if quick else TRANSFORMER_BLOCKS,
            transformers.contestants({"size": 2}, minrev),
        )
    return found


def per_added(found) -> list[str]:
    """Return a table of MB of peak memory for each that is added.

    Args:
        found: {contestant: {value: times}}.
    """
    lines = [
        "",
        "| MB for each that is added | from, to | MB |",
        "|---|---|---|",
    ]
    for name, times in found.items():
        if len(times) > 1:
            least, most = min(times), max(times)
            slope = (times[most].peak - times[least].peak) / (most - least)
            lines.append(f"| {name} | {least}, {most} | {slope:.1f} |")
    return lines
