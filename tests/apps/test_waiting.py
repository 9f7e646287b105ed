"""The line about what takes its time."""

import io
import threading
import time
import types

import pytest

from irevnet_tf.apps import waiting as module
from irevnet_tf.apps.waiting import waiting


class Terminal(io.StringIO):
    """What says that it is a terminal, and tells of each line."""

    def __init__(self, is_terminal):
        super().__init__()
        self._is_terminal = is_terminal
        self.written = threading.Event()

    def isatty(self):
        return self._is_terminal

    def write(self, text):
        super().write(text)
        self.written.set()


@pytest.fixture(params=[True, False], ids=["terminal", "file"])
def stderr(request, monkeypatch):
    for name in ("SILENCE", "SECONDS_BETWEEN_LINES", "SECONDS_ELSEWHERE"):
        monkeypatch.setattr(module, name, 0.02)
    terminal = Terminal(request.param)
    # pytest sets `sys.stderr` again, in front of the test.
    fake = types.SimpleNamespace(stderr=terminal)
    monkeypatch.setattr(module, "sys", fake)
    return terminal


def test_a_line_tells_what_is_done_and_how_much(stderr, capsys):
    with waiting("Measuring") as progress:
        assert stderr.written.wait(10)
        progress(0.5)
        stderr.written.clear()
        assert stderr.written.wait(10)
        stderr.written.clear()
        assert stderr.written.wait(10)
    text = stderr.getvalue()
    end = "\x1b[K\r" if stderr.isatty() else "\n"
    assert text.startswith("\rMeasuring  0 s" if stderr.isatty() else "Meas")
    assert f"Measuring  50%  0 s{end}" in text
    assert text.endswith("\r\x1b[K") == stderr.isatty()
    assert capsys.readouterr().out == ""


def test_the_line_is_gone_after_an_error(stderr):
    with pytest.raises(ValueError, match="wrong"), waiting("Trying"):
        assert stderr.written.wait(10)
        raise ValueError("wrong")
    before = stderr.getvalue()
    time.sleep(0.1)
    assert stderr.getvalue() == before
    assert before.endswith("\x1b[K" if stderr.isatty() else "\n")


def test_what_is_fast_has_no_line(stderr, monkeypatch):
    for name in ("SILENCE", "SECONDS_ELSEWHERE"):
        monkeypatch.setattr(module, name, 60.0)
    with waiting("Loading"):
        pass
    assert stderr.getvalue() == ""


def test_nobody_reads_it(stderr, monkeypatch):
    def write(text):
        stderr.written.set()
        raise BrokenPipeError

    monkeypatch.setattr(stderr, "write", write)
    with waiting("Loading"):
        assert stderr.written.wait(10)
        stderr.written.clear()
        assert stderr.written.wait(10)
