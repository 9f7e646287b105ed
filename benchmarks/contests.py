"""What contestants compete in: a table for each, in docs/benchmarks.md."""

import dataclasses

import contest
import couplings
import images
import revnet
import transformers

TENSORFLOW = "irevnet301_tensorflow"
PYTORCH = "irevnet301_pytorch"
NHWC = {"memory_format": "channels_last"}
BFLOAT16 = {"policy": "mixed_bfloat16", "lossless": True}


@dataclasses.dataclass(frozen=True)
class Contest:
    """One table.

    Attributes:
        title: what all contestants do.
        contestants: {name: (module, arguments)}; the first is what the others
            are compared with.
        operations: of the convolutions of a turn. What is computed again to
            save memory does not count.
        tolerance: relative difference up to which results are the same.
    """

    title: str
    contestants: dict
    operations: float
    tolerance: float = contest.TOLERANCE


def contests(quick, weights, minrev):
    """Return all contests.

    Args:
        quick: bool.
        weights: path of the weights for `IRevNet301`.
        minrev: None or directory of minREV.
    """
    # The only size that pytorchcv's classifier takes.
    pixels, size = 224, 2 if quick else 8
    common = {"weights": weights, "pixels": pixels, "size": size}
    operations = images.operations(pixels, size)
    for task in ("forward", "inverse"):
        given = {"task": task, **common}
        yield Contest(
            f"`IRevNet301`, {task}, {pixels}x{pixels}, batch {size}",
            {
                "PyTorch (pytorchcv)": (PYTORCH, given),
                "PyTorch, channels last": (PYTORCH, {**given, **NHWC}),
                "ours": (TENSORFLOW, given),
                "ours, lossless": (TENSORFLOW, {**given, "lossless": True}),
                "ours, lossless, bfloat16 residuals": (
                    TENSORFLOW,
                    {**given, **BFLOAT16},
                ),
                "the same, exported": (
                    TENSORFLOW,
                    {**given, **BFLOAT16, "exported": True},
                ),
                "ours, lossless, exported": (
                    TENSORFLOW,
                    {**given, "lossless": True, "exported": True},
                ),
            },
            operations,
            # Of a float32 network and one that rounds to a grid, or to 8 bits.
            tolerance=0.1,
        )
    size = 2 if quick else 4
    given = {**common, "task": "train", "size": size}
    yield Contest(
        f"`IRevNet301`, training step, {pixels}x{pixels}, batch {size}",
        {
            "PyTorch (pytorchcv), plain": (PYTORCH, given),
            "PyTorch, plain, channels last": (PYTORCH, {**given, **NHWC}),
            "ours, plain": (TENSORFLOW, {**given, "memory_saving": False}),
            "ours, memory saving": (TENSORFLOW, given),
            "ours, memory saving, lossless": (
                TENSORFLOW,
                {**given, "lossless": True},
            ),
        },
        3 * images.operations(pixels, size),
        tolerance=1e-3,
    )
    given = {"depth": 10, "size": 4} if quick else {"depth": 100, "size": 64}
    keras, torch = (f"couplings_{name}" for name in ("tensorflow", "pytorch"))
    yield Contest(
        f"{given['depth']} couplings of two 3x3 convolutions, 24 channels a "
        f"stream, 32x32, batch {given['size']}, training step",
        {
            "PyTorch, plain": (torch, {"mode": "plain", **given}),
            "PyTorch, plain, channels last": (
                torch,
                {"mode": "plain", **given, **NHWC},
            ),
            "PyTorch, checkpoint for each block": (
                torch,
                {"mode": "checkpoint", **given},
            ),
            "MemCNN": (torch, {"mode": "memcnn", **given}),
            "`keras.remat` for each block": (
                keras,
                {"mode": "remat", "stock": True, **given},
            ),
            "`keras.remat`, our BatchNorm and SGD": (
                keras,
                {"mode": "remat", **given},
            ),
            "ours, plain": (keras, {"mode": "plain", **given}),
            "ours, memory saving": (keras, {"mode": "memory saving", **given}),
        },
        3 * couplings.operations(channels=24, pixels=32, **given),
    )
    given = {"depth": 3, "size": 4} if quick else {"depth": 9, "size": 64}
    keras, torch = (f"revnet_{name}" for name in ("tensorflow", "pytorch"))
    yield Contest(
        f"MemCNN's RevNet for CIFAR, {given['depth']} units a stage, 32x32, "
        f"batch {given['size']}, training step",
        {
            "PyTorch, plain": (torch, {"mode": "plain", **given}),
            "MemCNN": (torch, {"mode": "memcnn", **given}),
            "ours, plain": (keras, {"mode": "plain", **given}),
            "ours, memory saving": (keras, {"mode": "memory saving", **given}),
        },
        3 * revnet.operations(**given),
    )
    given = {"depth": 2, "size": 2} if quick else {"depth": 24, "size": 16}
    yield Contest(
        f"{given['depth']} reversible blocks of attention and MLP, width 192, "
        f"3 heads, {transformers.TOKENS} tokens, batch {given['size']}, "
        "training step",
        transformers.contestants(given, minrev),
        3 * transformers.operations(width=192, **given),
        # Of a float32 network and one that rounds to a grid.
        tolerance=1e-3,
    )
