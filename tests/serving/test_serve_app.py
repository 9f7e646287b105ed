"""Tests of irevnet_tf.apps.serve."""

import os
import re
import signal
import subprocess
import sys

import numpy as np

from irevnet_tf.serving import Client


def start(*flags):
    return subprocess.Popen(
        [sys.executable, "-m", "irevnet_tf.apps.serve", *flags],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
    )


def test_a_model_is_served_until_the_process_is_ended(tiny):
    process = start(f"--directory={tiny}", "--rest_port=0")
    try:
        lines = [process.stdout.readline() for _ in range(2)]
        assert lines[0] == f"{'model':25} tiny, version 1\n"
        address = re.fullmatch(r"REST +(http://127.0.0.1:\d+)\n", lines[1])[1]
        with Client(address, "tiny") as client:
            images = np.full((1, 8, 8, 1), 7.0)
            again = client.decode(client.encode(images))
        np.testing.assert_array_equal(np.rint(again), images)
    finally:
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 0
    assert "Traceback" not in errors
