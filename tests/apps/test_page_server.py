"""Tests of the page's server: what it answers, and to whom."""

import asyncio
import base64
import json
import re
import threading
import time

import numpy as np
import page_files
import page_networks
import pytest

pytest.importorskip("starlette", reason="the extra `demo` is not installed")
pytest.importorskip("httpx", reason="httpx is not installed")

from irevnet_tf.apps.page import guard
from irevnet_tf.apps.page import routes
from irevnet_tf.apps.page import uploads
from irevnet_tf.apps.page.explorer import Explorer
from irevnet_tf.apps.page.refused import Refused
from irevnet_tf.apps.page.workers import Workers

ADDRESS = f"http://127.0.0.1:{page_networks.PORT}"
QUERY = {"network": page_networks.NAME, "point": "stage3", "share": "0.5"}


@pytest.fixture(scope="module")
def page():
    page = page_networks.digits_page(seconds=0.5)
    yield page
    page.close()


@pytest.fixture(scope="module")
def client(page):
    return page_networks.PageClient(page)


@pytest.fixture(scope="module")
def samples(client):
    """The pixels of two digits."""
    (network,) = client.get("/api/networks").json()
    return [base64.b64decode(x["pixels"]) for x in network["samples"][:2]]


def post(client, name, body, **query):
    return client.post(f"/api/{name}", params=QUERY | query, content=body)


def test_the_page_and_its_files_are_served(client):
    html = client.get("/").text
    wanted = re.findall(r'(?:src|href)="([^"]*)"', html)
    scripts = [client.get(x) for x in wanted if x.endswith(".js")]
    for script in scripts:
        wanted += re.findall(r'from "([^"]*)"', script.text)
    assert len(wanted) == 8
    for path in wanted:
        assert path.startswith("/"), "from elsewhere"
        answer = client.get(path)
        assert answer.status_code == 200 and answer.text
    # The policy forbids both.
    assert not re.search(r"<script(?![^>]*src)|<style|style=|\son\w+=", html)


def test_every_control_of_the_page_has_a_label(client):
    html = client.get("/").text
    for kind in ("select", "input"):
        for tag in re.findall(f"<{kind} [^>]*>", html):
            name = re.search(r'id="([^"]*)"', tag)
            within = re.search(rf"<label[^>]*>[^<]*{re.escape(tag)}", html)
            assert within or f'for="{name[1]}"' in html, tag
    for tag in re.findall("<canvas [^>]*>", html):
        assert "aria-label=" in tag


@pytest.mark.parametrize(
    "path, status",
    [("/", 200), ("/api/networks", 200), ("/nothing", 404), ("/api/x", 404)]
    + [("/../setup.py", 404), ("/api/classes", 405)],
)
def test_every_answer_has_the_headers(client, path, status):
    answer = client.get(path)
    assert answer.status_code == status
    for name, value in guard.HEADERS.items():
        assert answer.headers[name] == value
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self';")
    assert "unsafe" not in policy and "http" not in policy


@pytest.mark.parametrize(
    "headers, sentence",
    [
        ({"host": "evil.example:8600"}, "must name this machine"),
        ({"host": "127.0.0.1:80"}, "must name this machine"),
        ({"host": "127.0.0.1"}, "must name this machine"),
        ({"host": "127.0.0.1.evil.example:8600"}, "must name this machine"),
        ({"origin": "https://evil.example"}, "another page"),
        ({"origin": "null"}, "another page"),
        ({"origin": "http://127.0.0.1:1234"}, "another page"),
        ({"origin": "http://localhost:8600"}, "another page"),
        ({"sec-fetch-site": "cross-site"}, "another site"),
        ({"sec-fetch-site": "same-site"}, "another site"),
    ],
    ids=str,
)
def test_other_hosts_and_pages_are_refused(client, headers, sentence):
    for answer in (
        client.get("/api/networks", headers=headers),
        client.post("/api/picture", headers=headers, content=b"x"),
    ):
        assert answer.status_code == 403
        assert sentence in answer.json()["error"]
        assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "localhost:8600", "origin": "http://localhost:8600"},
        {"host": "[::1]:8600"},
        {"origin": ADDRESS, "sec-fetch-site": "same-origin"},
        {"sec-fetch-site": "none"},
    ],
    ids=str,
)
def test_this_machine_and_this_page_are_answered(client, headers):
    assert client.get("/api/networks", headers=headers).status_code == 200


def test_a_link_from_elsewhere_leads_to_the_page(client):
    headers = {"sec-fetch-site": "cross-site"}
    assert client.get("/", headers=headers).status_code == 200


def test_an_upload_comes_back_as_the_network_sees_it(client):
    raw = page_files.animation("GIF")
    answer = post(client, "picture", raw).json()
    assert answer["shape"] == [8, 8, 1]
    assert base64.b64decode(answer["pixels"]) == b"\xff" * 64
    assert answer["note"] == "This is the first frame of an animation."


def test_a_damaged_upload_is_refused_in_a_sentence(client):
    raw = page_files.sound_files()["photo.jpeg"][:-400]
    answer = post(client, "picture", raw)
    assert answer.status_code == 422
    assert answer.json() == {
        "error": "The file is damaged or not whole: it cannot be decoded."
    }


def test_rebuilt_pictures_say_their_bits(client, samples):
    for point in ("stage1_block1", "stage2", "stage3"):
        answer = post(client, "rebuilt", samples[0], point=point).json()
        assert (answer["differing"], answer["bits"]) == (0, 2048)
        assert base64.b64decode(answer["pixels"]) == samples[0]
        assert not any(base64.b64decode(answer["difference"]))


def test_classes_stages_and_what_is_between(client, samples):
    classes = post(client, "classes", samples[0]).json()
    assert classes[0]["name"] == "0" and len(classes) == 5
    assert 0.9 < classes[0]["probability"] <= 1.0
    stages = post(client, "stages", samples[0]).json()
    assert [x["name"] for x in stages] == ["stage1", "stage2", "stage3"]
    both = samples[0] + samples[1]
    for share, expected in (("0", samples[0]), ("1", samples[1])):
        found = post(client, "between", both, share=share).json()
        assert base64.b64decode(found["pixels"]) == expected
        assert found["class"] == share
    middle = post(client, "between", both).json()
    assert base64.b64decode(middle["pixels"]) not in samples


@pytest.mark.parametrize(
    "name, query, status, sentence",
    [
        ("classes", {"network": "x"}, 404, "no network 'x'"),
        ("rebuilt", {"point": "x"}, 400, "no point 'x'"),
        ("between", {"share": "nan"}, 400, "number from 0 to 1"),
        ("between", {"share": "2"}, 400, "number from 0 to 1"),
        ("between", {"share": "x"}, 400, "number from 0 to 1"),
    ],
)
def test_other_queries_are_refused(
    client, samples, name, query, status, sentence
):
    body = samples[0] * (2 if name == "between" else 1)
    answer = post(client, name, body, **query)
    assert answer.status_code == status
    assert sentence in answer.json()["error"]


@pytest.mark.parametrize("name", ["classes", "rebuilt", "stages", "metamers"])
def test_other_bodies_are_refused(client, samples, name):
    count = 2 if name == "metamers" else 1
    assert post(client, name, samples[0] * count + b"x").status_code == 413
    if name != "metamers":
        assert post(client, name, samples[0][:-1]).status_code == 400
    else:
        answer = post(client, name, samples[0] * 2)
        assert answer.json() == {"error": "Two different pictures are needed."}


def test_a_search_tells_how_far_it_is_and_ends_in_time(client, samples):
    begin = time.monotonic()
    answer = post(client, "metamers", samples[0] + samples[1])
    lines = [json.loads(line) for line in answer.text.splitlines()]
    assert re.match(r"[\d,]+ steps in \d+ s$", lines[0]["progress"])
    assert re.match(r"Ended after \d+ s\.$", lines[-1]["end"])
    assert time.monotonic() - begin < 20


def asked(page, body_parts, headers=()):
    """Return the status of an upload, and how many parts were read."""
    parts = iter(body_parts)
    read, sent = [], []

    async def receive():
        read.append(next(parts))
        return {"type": "http.request", "body": read[-1], "more_body": True}

    async def send(message):
        sent.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/api/picture",
        "raw_path": b"/api/picture",
        "query_string": b"network=digits",
        "headers": [(b"host", b"127.0.0.1:8600"), *headers],
        "http_version": "1.1",
        "scheme": "http",
        "server": ("127.0.0.1", 8600),
        "client": ("127.0.0.1", 1),
        "root_path": "",
    }
    asyncio.run(page.application(8600)(scope, receive, send))
    assert b"too large" in sent[1]["body"]
    return sent[0]["status"], len(read)


def test_an_upload_without_end_is_refused_as_it_is_read(page):
    megabyte = bytes(2**20)
    endless = iter(lambda: megabyte, None)
    most = uploads.MAX_BYTES >> 20
    assert asked(page, endless) == (413, most + 1)
    # What says that it is too large is not read at all.
    length = (b"content-length", str(uploads.MAX_BYTES + 1).encode())
    assert asked(page, [], [length]) == (413, 0)


def test_a_slow_request_does_not_stop_another(client, samples, monkeypatch):
    held, begun = threading.Event(), threading.Event()

    def slow(self, image, point):
        begun.set()
        assert held.wait(30)
        raise Refused(400, "It was slow.")

    monkeypatch.setattr(Explorer, "rebuilt", slow)
    found = []
    thread = threading.Thread(
        target=lambda: found.append(post(client, "rebuilt", samples[0]))
    )
    thread.start()
    assert begun.wait(30)
    assert post(client, "classes", samples[0]).status_code == 200
    assert not found
    held.set()
    thread.join()
    assert found[0].json() == {"error": "It was slow."}


def test_only_so_many_computations_wait():
    async def run():
        workers = Workers(1, 2, "Too many.")
        held = threading.Event()
        first, second = workers.begin(held.wait), workers.begin(lambda: 7)
        with pytest.raises(Refused, match=r"Too many\."):
            workers.begin(lambda: 8)
        held.set()
        assert await second == 7 and await first
        await asyncio.sleep(0)
        assert await workers.run(lambda: 9) == 9
        workers.close()

    asyncio.run(run())


def test_a_failure_is_told_without_its_inside(client, samples, monkeypatch):
    def fail(self, image):
        raise RuntimeError("secret")

    monkeypatch.setattr(Explorer, "classes", fail)
    answer = post(client, "classes", samples[0])
    assert answer.status_code == 500
    assert answer.json() == {
        "error": "The computation failed; the terminal says more."
    }
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_samples_are_test_images(client, samples):
    (network,) = client.get("/api/networks").json()
    captions = [x["caption"] for x in network["samples"]]
    assert captions == [str(number) for number in range(10)]
    assert network["fraction_bits"] == 14
    assert routes.THREADS > 1
    assert np.frombuffer(samples[0], "uint8").max() == 255
