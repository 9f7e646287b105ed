"""The page without a server in a headless Chromium that reaches this machine.

ONNX Runtime Web comes from npm, which needs a registry; Chromium gets none.
"""

import base64
import contextlib
import functools
import http.server
import json
import pathlib
import re
import shutil
import threading

import build_browser_page
import numpy as np
import page_files
import pytest
from PIL import Image

import irevnet_tf
from irevnet_tf.apps.page.refused import Refused
from irevnet_tf.apps.page.uploads import read_upload
from irevnet_tf.data import digits

pytest.importorskip("tf2onnx", reason="the extra `onnx` is not installed")
webdriver = pytest.importorskip(
    "selenium.webdriver", reason="Selenium is not installed"
)
wait = pytest.importorskip("selenium.webdriver.support.wait")
BROWSER, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
if not BROWSER or not DRIVER or not shutil.which("npm"):
    pytest.skip(
        "no Chromium with its driver, or no npm, is installed",
        allow_module_level=True,
    )

Keys = webdriver.Keys
SWITCHES = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
)
SECONDS = 60
CLOTHES = pathlib.Path(__file__).parents[1] / (
    "fixtures/fashion_mnist/test_images_100.npz"
)
BACKGROUND = "return getComputedStyle(document.body).backgroundColor"
# Runs the body of an async function, and returns what it does.
ASYNC = """
const values = [...arguments], finish = values.pop();
const load = (name) => import(new URL(name, location.href));
(async () => {{ {} }})().then(finish, (error) => finish(String(error)));
"""
# Returns the bits that differ in all images, and the likeliest classes.
ALL_THERE_AND_BACK = """
const [folder, images] = values;
const { Network, differingBits } = await load("network.js");
const abouts = await (await fetch("networks.json")).json();
const network = await Network.load(abouts.find((x) => x.folder === folder));
let differing = 0;
const classes = [];
for (const pixels of images) {
  const image = network.image(pixels);
  const there = await network.encode(image);
  differing += differingBits(image, await network.decode(there));
  const { probabilities } = there;
  classes.push(probabilities.indexOf(Math.max(...probabilities)));
}
return [differing, classes];
"""
READ = """
const [text, shape] = values;
const bytes = Uint8Array.from(atob(text), (x) => x.charCodeAt(0));
const { readPicture } = await load("upload.js");
return [...await readPicture(new File([bytes], "file"), shape)];
"""
DROP = """
const data = new DataTransfer();
data.items.add(new File([new Uint8Array(arguments[1])], "dropped.png"));
const event = new DragEvent("drop", {
    dataTransfer: data, bubbles: true, cancelable: true
});
document.getElementById(arguments[0]).dispatchEvent(event);
if (!event.defaultPrevented) throw new Error("the browser would open it");
"""


class Handler(http.server.SimpleHTTPRequestHandler):
    """Serves files as python -m http.server does, and says nothing."""

    def log_message(self, *args):
        pass


@contextlib.contextmanager
def serving(folder):
    """Yield the address of a file server for a folder."""
    handler = functools.partial(Handler, directory=folder)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    # Beneath another folder, as GitHub Pages has it.
    return build_browser_page.build(tmp_path_factory.mktemp("site") / "page")


@pytest.fixture(scope="module")
def address(page):
    with serving(page.parent) as server:
        yield f"{server}/{page.name}/"


@pytest.fixture(scope="module")
def browser():
    options = webdriver.ChromeOptions()
    options.binary_location = BROWSER
    for switch in SWITCHES:
        options.add_argument(switch)
    options.set_capability(
        "goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"}
    )
    # With a path, Selenium looks for no driver, and downloads none.
    driver = webdriver.Chrome(
        options=options, service=webdriver.ChromeService(DRIVER)
    )
    driver.set_script_timeout(SECONDS)
    yield driver
    driver.quit()


class Shown:
    """The page in the browser."""

    def __init__(self, browser, address):
        self.browser = browser
        browser.get(address)
        self.until(lambda: self.text("bits"))

    def find(self, name):
        return self.browser.find_element("id", name)

    def text(self, name):
        return self.find(name).text

    def drawn(self, name):
        """Return what a canvas shows."""
        return self.browser.execute_script(
            "return document.getElementById(arguments[0]).toDataURL()", name
        )

    def classes(self):
        """Return {class: probability}, the likeliest first."""
        rows = self.browser.execute_script(
            "return [...document.querySelectorAll('#classes li')].map((x) => "
            "[x.firstChild.textContent, x.querySelector('progress').value])"
        )
        return dict(rows)

    def until(self, condition):
        return wait.WebDriverWait(self.browser, SECONDS).until(
            lambda _: condition()
        )

    def press(self, name, *keys):
        element = self.find(name)
        self.browser.execute_script("arguments[0].focus()", element)
        element.send_keys(*keys)

    def upload(self, path, raw):
        path.write_bytes(raw)
        self.find("first-file").send_keys(str(path))

    def run(self, body, *values):
        return self.browser.execute_async_script(ASYNC.format(body), *values)

    def choose(self, folder):
        self.press("network", *folder)
        self.until(lambda: self.text("first-note"))


@pytest.fixture
def shown(browser, address):
    """The page; in the end, no errors and no other hosts must have been."""
    for kind in ("browser", "performance"):
        browser.get_log(kind)
    yield Shown(browser, address)
    assert browser.get_log("browser") == []
    events = [
        json.loads(x["message"])["message"]
        for x in browser.get_log("performance")
    ]
    requested = [
        x["params"]["request"]["url"]
        for x in events
        if x["method"] == "Network.requestWillBeSent"
    ]
    assert any(x.endswith(".wasm") for x in requested)
    for x in requested:
        assert x.startswith(address), x


@pytest.fixture(scope="module")
def abouts(page):
    """The entries of networks.json, by folder."""
    found = json.loads((page / "networks.json").read_text(encoding="utf-8"))
    return {about["folder"]: about for about in found}


def test_every_file_is_listed_for_the_service_worker(page):
    text = (page / build_browser_page.LIST).read_text(encoding="utf-8")
    listed = json.loads(re.search(r"FILES = (\{.*\});", text, re.S)[1])
    files = {
        x.relative_to(page).as_posix() for x in page.rglob("*") if x.is_file()
    }
    assert files - {build_browser_page.LIST} == set(listed) - {"./"}
    assert len([x for x in files if x.endswith(".onnx")]) == 4


def test_no_picture_loses_a_bit(shown, abouts):
    assert shown.text("bits") == "0 of 25,088 bits differ"
    assert shown.text("difference-caption") == "No difference"
    assert shown.drawn("rebuilt") == shown.drawn("original")
    raw, labels = digits.load().arrays("test", 100)
    with np.load(CLOTHES) as file:
        tests = {
            "digits": (np.rint(255 * raw).astype("uint8"), labels),
            "fashion_mnist": (file["images"], file["labels"]),
        }
    for name, (images, labels) in tests.items():
        rows = images.reshape(len(images), -1).tolist()
        found = shown.run(ALL_THERE_AND_BACK, name, rows)
        assert not isinstance(found, str), found
        differing, classes = found
        assert differing == 0
        assert np.mean(classes == labels) > 0.9


def test_a_bit_that_differs_is_counted_and_shown(shown):
    differing, factor, pixels = shown.run(
        "const { amplified, differingBits } = await load('network.js');"
        "const [a, b] = [[0, 1, 200], [0, 1.5, 198]].map("
        "  (x) => Float32Array.from(x));"
        "const { factor, pixels } = amplified(a, b);"
        "return [differingBits(a, b), factor, [...pixels]];"
    )
    bits = [
        np.frombuffer(np.float32(x).tobytes(), "uint8")
        for x in ([0, 1, 200], [0, 1.5, 198])
    ]
    assert differing == np.sum(np.bitwise_count(bits[0] ^ bits[1]))
    assert (factor, pixels) == (100, [0, 50, 200])


@pytest.mark.parametrize("name", build_browser_page.NETWORKS)
def test_samples_have_the_classes_of_keras(shown, abouts, name):
    about = abouts[name]
    shown.choose(about["title"])
    bits = 32 * np.prod(about["shape"])
    shown.until(lambda: shown.text("bits").endswith(f"of {bits:,} bits differ"))
    samples = about["samples"]
    raw = b"".join(base64.b64decode(x["pixels"]) for x in samples)
    images = np.frombuffer(raw, "uint8").reshape(-1, *about["shape"])
    model = irevnet_tf.IRevNet28(weights=name, lossless=True)
    expected = model.predict(images.astype("float32") / 255.0, verbose=0)
    right = 0
    buttons = shown.browser.find_elements("css selector", "#samples button")
    assert len(buttons) == len(samples) == 10
    for button, sample, row in zip(buttons, samples, expected, strict=True):
        order = np.argsort(-row, kind="stable")[:5]
        titles = [about["classes"][i] for i in order]
        button.send_keys(Keys.ENTER)
        shown.until(lambda row=row: close(shown.classes(), about, row))
        assert shown.text("first-note") == sample["caption"]
        assert list(shown.classes())[0] == titles[0]
        assert shown.text("bits") == f"0 of {bits:,} bits differ"
        right += titles[0] == sample["caption"]
    assert right >= 9


def close(classes, about, row):
    """Return whether probabilities are Keras', within 1e-4."""
    return classes and all(
        abs(probability - row[about["classes"].index(title)]) < 1e-4
        for title, probability in classes.items()
    )


def noise(height, width):
    values = np.random.default_rng(0).integers(0, 256, (height, width, 3))
    return page_files.encoded(Image.fromarray(values.astype("uint8")))


NOISE = {f"{h}x{w}.png": noise(h, w) for h, w in ((28, 28), (640, 481), (3, 9))}


def test_files_become_the_pixels_of_the_other_page(shown):
    wrong = {}
    for name, raw in (page_files.sound_files() | NOISE).items():
        for shape in ((28, 28, 1), (8, 8, 3)):
            found = shown.run(READ, base64.b64encode(raw).decode(), shape)
            assert not isinstance(found, str), f"{name}: {found}"
            expected, _ = read_upload(raw, shape)
            difference = np.abs(np.reshape(found, shape) - expected.astype(int))
            # Decoders of JPEG round in several ways, and interpolate colours.
            if difference.max() > (12 if name.endswith("jpeg") else 1):
                wrong[name, shape] = difference.max()
    assert not wrong


BROKEN = {
    "cut.png": page_files.sound_files()["rgb.png"][:60],
    "cut.jpeg": page_files.sound_files()["photo.jpeg"][:-300],
    "text.png": b"hello",
    "empty.png": b"",
    "bomb.png": page_files.png_of(30_000, 30_000, 1, 0, b""),
    "long.png": page_files.sound_files()["rgb.png"] + bytes(20 * 2**20),
}


def test_broken_files_are_told_of_in_the_same_sentences(shown, tmp_path):
    before = shown.drawn("first")
    for name, raw in BROKEN.items():
        with pytest.raises(Refused) as refused:
            read_upload(raw, (28, 28, 1))
        sentence = refused.value.sentence
        shown.upload(tmp_path / name, raw)
        shown.until(lambda sentence=sentence: shown.text("problem") == sentence)
        assert shown.drawn("first") == before
    # What is right afterwards takes the sentence away.
    shown.press("first-inverted", Keys.ENTER)
    assert shown.text("problem") == ""


def test_an_upload_and_a_dropped_file_are_classified_and_rebuilt(
    shown, tmp_path
):
    before = shown.classes()
    raw = page_files.encoded(page_files.picture(400, 300))
    shown.upload(tmp_path / "photo.png", raw)
    shown.until(lambda: shown.text("first-note") == "photo.png.")
    shown.until(lambda: shown.classes() != before)
    assert shown.text("bits").startswith("0 of ")
    assert shown.drawn("rebuilt") == shown.drawn("first")
    shown.browser.execute_script(DROP, "slot-second", list(raw))
    shown.until(lambda: shown.text("second-note") == "dropped.png.")
    # Beside the places for files, it must not replace the page.
    shown.browser.execute_script(DROP, "classes-title", list(raw))
    assert shown.drawn("second") == shown.drawn("first")


def test_the_slider_decodes_as_it_moves(shown):
    def decoded(value):
        found = shown.find("between").get_attribute("data-share")
        return found == value and shown.text("between-class")

    shown.press("share", Keys.HOME)
    shown.until(lambda: decoded("0"))
    assert shown.text("share-value") == "0 %"
    assert shown.drawn("between") == shown.drawn("first")
    shown.press("share", *[Keys.PAGE_UP] * 5)
    shown.until(lambda: decoded("0.5"))
    assert shown.drawn("between") != shown.drawn("blend")
    shown.press("share", Keys.END)
    shown.until(lambda: decoded("1"))
    assert shown.drawn("between") == shown.drawn("second")
    assert shown.drawn("blend") == shown.drawn("second")


def test_a_digit_is_drawn_with_the_keyboard(shown, abouts):
    shown.choose(abouts["digits"]["title"])
    shown.until(lambda: shown.text("bits") == "0 of 2,048 bits differ")
    shown.find("drawing").find_element("tag name", "summary").send_keys(
        Keys.ENTER
    )
    shown.press("pad", *[Keys.ARROW_UP] * 3, Keys.SPACE)
    assert shown.text("pad-state") == "The pen is down."
    shown.press("pad", *[Keys.ARROW_DOWN] * 6)
    shown.press("pad-take", Keys.ENTER)
    assert shown.text("first-note") == "Drawn here."
    shown.until(lambda: next(iter(shown.classes())) == "1")
    assert shown.text("bits") == "0 of 2,048 bits differ"


def test_it_fits_a_phone_and_follows_dark_mode(shown):
    light = shown.browser.execute_script(BACKGROUND)
    phone = {"width": 360, "height": 740, "deviceScaleFactor": 1}
    dark = [{"name": "prefers-color-scheme", "value": "dark"}]
    for command, values in (
        ("Emulation.setDeviceMetricsOverride", phone | {"mobile": True}),
        ("Emulation.setEmulatedMedia", {"features": dark}),
    ):
        shown.browser.execute_cdp_cmd(command, values)
    width = shown.browser.execute_script(
        "return document.documentElement.scrollWidth"
    )
    dark = shown.browser.execute_script(BACKGROUND)
    shown.browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    shown.browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {})
    assert width == 360
    assert brightness(light) > 200 and brightness(dark) < 60


def brightness(colour):
    return sum(map(int, re.findall(r"\d+", colour)[:3])) / 3


def test_it_opens_again_when_the_server_is_gone(browser, page):
    with serving(page) as address:
        shown = Shown(browser, address)
        assert shown.run("await navigator.serviceWorker.ready; return 1") == 1
    shown = Shown(browser, address)
    assert shown.text("bits") == "0 of 25,088 bits differ"
    before = shown.classes()
    shown.browser.find_elements("css selector", "#samples button")[7].send_keys(
        Keys.ENTER
    )
    shown.until(lambda: shown.classes() != before)
    assert next(iter(shown.classes())) == "Sneaker"
    assert shown.text("bits") == "0 of 25,088 bits differ"


def test_a_missing_network_is_told_of(browser, page, tmp_path):
    folder = shutil.copytree(page, tmp_path / "page")
    (folder / "networks" / "fashion_mnist" / "inverse.onnx").unlink()
    with serving(folder) as address:
        browser.get(address)
        wait.WebDriverWait(browser, SECONDS).until(
            lambda _: browser.find_element("id", "problem").text
        )
        problem = browser.find_element("id", "problem").text
    assert problem == (
        "The network cannot be loaded; reload the page to try again: "
        "networks/fashion_mnist/inverse.onnx: the server answered 404"
    )
