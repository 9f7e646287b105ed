"""irevnet-demo: which networks it shows, and how it starts and ends."""

import pathlib
import re
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request

import keras
import numpy as np
import pytest
from absl import app
from absl import flags

import irevnet_tf
from irevnet_tf.apps import serve_page
from irevnet_tf.apps.flags import define_flags
from irevnet_tf.apps.flags import from_flags
from irevnet_tf.training import RunConfig
from irevnet_tf.training import RunOptions


def request(*arguments):
    """Return what the command line would make of the arguments."""
    values = flags.FlagValues()
    define_flags(serve_page.Request, values)
    values(["program", *map(str, arguments)])
    return from_flags(serve_page.Request, values)


def explore(*arguments):
    return serve_page.explore(request(*arguments))


def small(channels=3, sides=(16, 16), **arguments):
    return irevnet_tf.IRevNet(
        (1, 1),
        (1, 2),
        (8, 32),
        input_shape=(*sides, channels),
        classes=3,
        **arguments,
    )


def test_it_opens_on_the_weights_that_come_with_the_package():
    found = explore()
    assert list(found) == ["IRevNet28, fashion_mnist", "IRevNet28, digits"]
    for explorer, samples in found.values():
        assert explorer.network.fraction_bits == 14
        assert len(samples) == 10
        raw = b"".join(pixels.tobytes() for _, pixels in samples)
        images, right = explorer.images(raw, 10), 0
        assert explorer.rebuilt(images[0], "stage3").differing == 0
        for (caption, _), image in zip(samples, images, strict=True):
            right += explorer.classes(image)[0][0] == caption
        # Test images of one of each class, in order.
        assert right >= 9


def test_it_shows_a_keras_file(tmp_path):
    path = tmp_path / "small.keras"
    small().save(path)
    ((explorer, samples),) = explore(f"--keras_file={path}").values()
    assert explorer.shape == (16, 16, 3)
    assert [caption for caption, _ in samples] == ["temple", "flower"]
    (image,) = explorer.images(samples[0][1].tobytes(), 1)
    assert [name for name, _ in explorer.classes(image)] != []
    assert explorer.class_names == ["class 0", "class 1", "class 2"]
    found = explorer.rebuilt(image, explorer.points[-1])
    assert np.max(np.abs(found.pixels.astype(int) - samples[0][1])) <= 1


def test_it_shows_the_network_of_a_run(tmp_path):
    from irevnet_tf.apps.train import train_run

    config = RunConfig(
        model="IRevNet28", dataset="digits", epochs=1, warmup_epochs=0
    )
    train_run(tmp_path / "run", config, None, RunOptions())
    ((explorer, samples),) = explore(f"--run_dir={tmp_path / 'run'}").values()
    assert explorer.shape == (8, 8, 1)
    assert [caption for caption, _ in samples] == list("0123456789")
    (image,) = explorer.images(samples[3][1].tobytes(), 1)
    assert explorer.drawn(image).tobytes() == samples[3][1].tobytes()


def test_networks_for_any_size_need_one(tmp_path):
    path = tmp_path / "any.keras"
    small(sides=(None, None)).save(path)
    with pytest.raises(app.UsageError, match="--image_size is needed"):
        explore(f"--keras_file={path}")
    with pytest.raises(app.UsageError, match="and divisible by 4"):
        explore(f"--keras_file={path}", "--image_size=15")
    ((explorer, _),) = explore(
        f"--keras_file={path}", "--image_size=20"
    ).values()
    assert explorer.shape == (20, 20, 3)


def test_other_networks_are_refused(tmp_path):
    path = tmp_path / "other.keras"
    small(channels=2).save(path)
    with pytest.raises(app.UsageError, match="1 or 3 channels"):
        explore(f"--keras_file={path}")
    image = keras.Input((8, 8, 1))
    keras.Model(image, keras.layers.Dense(2)(image)).save(path)
    with pytest.raises(app.UsageError, match="leads to nothing"):
        explore(f"--keras_file={path}")
    with pytest.raises(app.UsageError, match="--model need --weights"):
        explore("--model=IRevNet28")


def test_a_port_that_is_taken_is_told_of():
    pytest.importorskip("uvicorn", reason="the extra `demo` is not installed")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(app.UsageError, match=f"Received: --port={port}"):
            serve_page.serve_page(request(f"--port={port}"))


def test_without_the_extra_it_says_how_to_install_it(monkeypatch):
    # Imported anew, as in a process that has not.
    name = "irevnet_tf.apps.page.connections"
    monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    with pytest.raises(app.UsageError, match=r'pip install "irevnet_tf\[demo'):
        serve_page.serve_page(request("--port=0"))


def test_it_starts_on_loopback_and_ends_when_told():
    pytest.importorskip("uvicorn", reason="the extra `demo` is not installed")
    with subprocess.Popen(
        [sys.executable, "-m", "irevnet_tf.apps.serve_page", "--port=0"]
        + ["--weights=digits"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            for line in process.stdout:
                found = re.search(r"http://127\.0\.0\.1:(\d+)/", line)
                if found:
                    break
            with urllib.request.urlopen(found[0]) as answer:
                assert b"Try an invertible network" in answer.read()
            # Its address for others, where nothing listens.
            with pytest.raises(OSError):
                socket.create_connection(("127.0.0.2", int(found[1])), 1)
            for headers in ({"Host": "evil.example"}, {"Origin": "null"}):
                with pytest.raises(urllib.error.HTTPError, match="403") as e:
                    urllib.request.urlopen(
                        urllib.request.Request(found[0], headers=headers)
                    )
                e.value.close()
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=30)
        finally:
            process.kill()
    assert "Traceback" not in errors
    assert process.returncode == 130


def test_make_demo_ends_with_the_line_that_starts_it():
    makefile = pathlib.Path(__file__).parents[2] / "Makefile"
    recipe = re.search(r"^demo:.*\n((?:\t.*\n)+)", makefile.read_text(), re.M)[
        1
    ]
    assert recipe.rstrip().endswith('irevnet-demo --run_dir=runs/demo"')
