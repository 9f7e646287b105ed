"""1,000 mixed and hostile uploads: no crash, and memory stays flat."""

import ctypes
import gc
import random

import page_files
import page_networks
import pytest

from irevnet_tf.apps.page.uploads import MAX_PIXELS
from irevnet_tf.memory import resident_memory

pytest.importorskip("starlette", reason="the extra `demo` is not installed")
pytest.importorskip("httpx", reason="httpx is not installed")

COUNT = 1000
FIRST = 300
STATUSES = {200, 400, 413, 415, 422}
# What one picture of the most pixels takes, which may be on its way out still.
LARGEST = 4 * MAX_PIXELS


def memory_in_use():
    """Return the memory of this process without what it has only freed."""
    gc.collect()
    # The C library keeps freed memory of each thread for that thread.
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
    return resident_memory()


def hostile(generator, files):
    """Return a file, as it is or damaged in one of several ways."""
    raw = bytearray(generator.choice(files))
    kind = generator.randrange(6)
    if kind == 1:
        del raw[generator.randrange(len(raw)) :]
    elif kind == 2:
        for _ in range(generator.randint(1, 12)):
            raw[generator.randrange(len(raw))] = generator.randrange(256)
    elif kind == 3:
        # In the header, where sizes and offsets are.
        place = generator.randrange(min(60, len(raw)))
        raw[place : place + 4] = generator.randbytes(4)
    elif kind == 4:
        other = generator.choice(files)
        raw[generator.randrange(len(raw)) :] = other[
            generator.randrange(len(other)) :
        ]
    elif kind == 5:
        raw = generator.randbytes(generator.randrange(2000))
    return bytes(raw)


# Pillow warns of damaged EXIF data, and goes on.
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_1000_uploads():
    page = page_networks.digits_page()
    generator = random.Random(0)
    files = [*page_files.sound_files().values(), page_files.bomb(7_000)]
    files += [
        page_files.bomb(),
        page_files.many_scans(),
        page_files.bomb(6_000),
    ]
    found = {}
    client = page_networks.PageClient(page)
    for number in range(COUNT):
        answer = client.post(
            "/api/picture",
            params={"network": page_networks.NAME},
            content=hostile(generator, files),
        )
        status = answer.status_code
        found[status] = found.get(status, 0) + 1
        assert status in STATUSES, answer.text
        if status != 200:
            sentence = answer.json()["error"]
            assert sentence.endswith(".") and len(sentence) < 120
        if number == FIRST:
            before = memory_in_use()
    page.close()
    assert found[200] > 100 and found[413] > 10
    assert found[415] > 100 and found[422] > 50
    assert memory_in_use() - before < LARGEST
