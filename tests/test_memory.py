import keras
import numpy as np
import pytest

from irevnet_tf import memory

MB = 2**20


@pytest.mark.parametrize(
    ("shape", "dtype", "expected"),
    [((3, 5), "float32", 60), ((7,), "float16", 14), ((), "int64", 8)],
)
def test_bytes_of_variables(shape, dtype, expected):
    variables = [
        keras.Variable(np.zeros(shape), dtype=dtype, trainable=False)
        for _ in range(2)
    ]
    assert memory.bytes_of(variables) == 2 * expected
    assert memory.bytes_of([]) == 0


@pytest.mark.skipif(not memory.can_measure(), reason="needs Linux")
def test_the_memory_of_a_process():
    memory.forget_peak()
    before = memory.resident_memory()
    array = np.ones(64 * MB, "uint8")
    assert memory.resident_memory() - before > 60 * MB
    del array
    assert memory.peak_memory() - before > 60 * MB
    assert memory.resident_memory() - before < 10 * MB
    memory.forget_peak()
    assert memory.peak_memory() - before < 10 * MB
    assert memory.available_memory() > MB
