"""Networks in NumPy and in PyTorch, interpreted step by step.

Neither imports TensorFlow. The steps are those of `portable_steps.py`; the two
libraries share the order of the steps and nothing of the arithmetic.
"""

import numpy as np


class Interpreter:
    """Runs both directions of a network.

    Args:
        steps: dict. The network, as `portable_steps.describe` returns it.
        library: `NumPy` or `PyTorch`. What it computes with.
    """

    def __init__(self, steps, library):
        self._library = library
        self._stream = [
            {name: self._constants(value) for name, value in step.items()}
            for step in steps["stream"]
        ]
        self._head = self._constants(steps["head"])

    def forward(self, images):
        """Return the representation and the logits of NumPy images."""
        x = self._library.array(images)
        for step in self._stream:
            x = self._run(step, x)
        logits = self.compute(self._head, x)
        return tuple(map(self._library.numpy, (x, logits)))

    def inverse(self, features):
        """Return the images of a representation, a NumPy array."""
        x = self._library.array(features)
        for step in self._stream:
            if step["kind"] in ("round", "unsigned round"):
                x = self._undo(step, x)
        for step in reversed(self._stream):
            x = self._undo(step, x)
        return self._library.numpy(x)

    def _constants(self, value):
        """Return `value` with the library's arrays inside."""
        if isinstance(value, np.ndarray):
            return self._library.array(value)
        if isinstance(value, list | tuple):
            return type(value)(map(self._constants, value))
        return value

    def _run(self, step, x):
        match step:
            case {"kind": "round", "bits": bits}:
                return self._round(x, bits)
            case {"kind": "unsigned round", "bits": bits, "offset": offset}:
                return self._unsigned(x * 2.0**bits + offset, bits)
            case {"kind": "downsample", "block": block}:
                return self._to_depth(x, block)
            case {"kind": "pad", "channels": channels}:
                return self._append_zeros(x, channels)
            case {"kind": "split"}:
                return self._halves(x)
            case {"kind": "merge"}:
                return self._library.concatenate(x)
            case {"kind": "couple", "block": block, "residual": residual}:
                x1, x2 = x
                shifted = self._to_depth(x1, block)
                shifted = shifted + self.compute(residual, x2)
                return self._to_depth(x2, block), shifted

    def _undo(self, step, y):
        match step:
            case {"kind": "round", "bits": bits}:
                return self._round(y, bits)
            case {"kind": "unsigned round", "bits": bits}:
                return self._unsigned(y * 2.0**bits, bits)
            case {"kind": "downsample", "block": block}:
                return self._to_space(y, block)
            case {"kind": "pad", "channels": channels}:
                return y[..., :-channels]
            case {"kind": "split"}:
                return self._library.concatenate(y)
            case {"kind": "merge"}:
                return self._halves(y)
            case {"kind": "couple", "block": block, "zero_channels": zeros}:
                y1, y2 = y
                x2 = self._to_space(y1, block)
                if zeros:
                    x2 = self._append_zeros(x2[..., :-zeros], zeros)
                unshifted = y2 - self.compute(step["residual"], x2)
                return self._to_space(unshifted, block), x2

    def compute(self, operations, x):
        """Run primitive operations.

        Args:
            operations: list of tuples. A name, and what belongs to it.
            x: array (batch, height, width, channels). What they start from.
        """
        for name, *given in operations:
            x = getattr(self, f"_{name}")(x, *given)
        return x

    def _affine(self, x, factor, shift):
        x = x if factor is None else x * factor
        return x if shift is None else x + shift

    def _clip(self, x, low, high):
        return self._library.clip(x, low, high)

    def _round(self, x, bits):
        return self._library.round(x * 2.0**bits) * 2.0**-bits

    def _floor(self, x):
        return self._library.floor(x)

    def _unsigned(self, scaled, bits):
        y = self._library.round(scaled) * 2.0**-bits
        return self._library.without_sign_of_zero(y)

    def _convolve(self, x, kernel, stride, groups=1, unit=None):
        size = kernel.shape[2] // groups
        sums = []
        for start in range(0, kernel.shape[2], size):
            part = slice(start, start + size)
            found = self._library.convolve(
                x[..., part], kernel[:, :, part], stride
            )
            sums.append(found if groups == 1 else self._floor(found / unit))
        total = sum(sums[1:], sums[0])
        return total if groups == 1 else total * unit

    def _mean(self, x):
        return x.mean((1, 2))

    def _integer_mean(self, x):
        n = x.shape[1] * x.shape[2]
        # As float32 has them.
        factor, shift = (float(np.float32(k)) for k in (4 / n, 0.5 + 0.25 / n))
        return self._library.floor(x.sum((1, 2)) * factor + shift)

    def _multiply(self, x, kernel):
        return x @ kernel

    def _halves(self, x):
        half = x.shape[-1] // 2
        return x[..., :half], x[..., half:]

    def _append_zeros(self, x, channels):
        zeros = self._library.array(np.zeros((*x.shape[:3], channels), "f4"))
        return self._library.concatenate((x, zeros))

    def _to_depth(self, x, b):
        n, h, w, c = x.shape
        x = x.reshape(n, h // b, b, w // b, b, c)
        x = self._library.permute(x, (0, 1, 3, 2, 4, 5))
        return x.reshape(n, h // b, w // b, b * b * c)

    def _to_space(self, y, b):
        n, h, w, c = y.shape
        y = y.reshape(n, h, w, b, b, c // b**2)
        y = self._library.permute(y, (0, 1, 3, 2, 4, 5))
        return y.reshape(n, h * b, w * b, c // b**2)


class NumPy:
    """What `Interpreter` needs of NumPy."""

    array = numpy = staticmethod(np.asarray)
    clip = staticmethod(np.clip)
    permute = staticmethod(np.transpose)
    floor, round = staticmethod(np.floor), staticmethod(np.rint)

    @staticmethod
    def concatenate(parts):
        return np.concatenate(parts, -1)

    @staticmethod
    def without_sign_of_zero(x):
        return np.where(x == 0, np.float32(0), x)

    @staticmethod
    def convolve(x, kernel, stride):
        side = kernel.shape[0]
        around = (side // 2, side // 2)
        x = np.pad(x, ((0, 0), around, around, (0, 0)))
        windows = np.lib.stride_tricks.sliding_window_view(
            x, (side, side), (1, 2)
        )[:, ::stride, ::stride]
        # Windows are (batch, height, width, channels, rows, columns).
        return np.tensordot(windows, kernel, ((4, 5, 3), (0, 1, 2)))


class PyTorch:
    """What `Interpreter` needs of PyTorch."""

    def __init__(self):
        import torch

        self._torch = torch
        self.clip, self.round = torch.clip, torch.round
        self.floor, self.permute = torch.floor, torch.permute

    def array(self, x):
        return self._torch.from_numpy(np.array(x))

    def numpy(self, x):
        return x.numpy()

    def concatenate(self, parts):
        return self._torch.cat(tuple(parts), -1)

    def without_sign_of_zero(self, x):
        return self._torch.where(x == 0, 0.0, x)

    def convolve(self, x, kernel, stride):
        found = self._torch.nn.functional.conv2d(
            x.permute(0, 3, 1, 2),
            kernel.permute(3, 2, 0, 1),
            stride=stride,
            padding=kernel.shape[0] // 2,
        )
        return found.permute(0, 2, 3, 1)
