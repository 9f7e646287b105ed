"""The page in a headless Chromium: works, without errors or other hosts."""

import json
import re
import shutil

import page_files
import page_networks
import pytest
from PIL import Image

import irevnet_tf

pytest.importorskip("starlette", reason="the extra `demo` is not installed")
pytest.importorskip("uvicorn", reason="the extra `demo` is not installed")
webdriver = pytest.importorskip(
    "selenium.webdriver", reason="Selenium is not installed"
)
BROWSER, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
if not BROWSER or not DRIVER:
    pytest.skip(
        "no Chromium with its driver is installed", allow_module_level=True
    )

Keys = webdriver.Keys
wait = pytest.importorskip("selenium.webdriver.support.wait")
SWITCHES = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
SECONDS = 60
BACKGROUND = "return getComputedStyle(document.body).backgroundColor"
DROP = """
const data = new DataTransfer();
data.items.add(new File([new Uint8Array(arguments[1])], "dropped.png"));
const event = new DragEvent("drop", {
    dataTransfer: data, bubbles: true, cancelable: true
});
document.getElementById(arguments[0]).dispatchEvent(event);
if (!event.defaultPrevented) throw new Error("the browser would open it");
"""
DROP_TEXT = """
const data = new DataTransfer();
data.setData("text/plain", "https://example.com/picture.png");
document.getElementById(arguments[0]).dispatchEvent(new DragEvent("drop", {
    dataTransfer: data, bubbles: true, cancelable: true
}));
"""
ANSWERED = """
return performance.getEntriesByType("resource").some(
    (x) => x.name.includes("/api/picture") && x.responseEnd > 0);
"""
ALL = "return document.getElementById('{}').toDataURL()"


@pytest.fixture(scope="module")
def address():
    with page_networks.served(page_networks.digits_page()) as port:
        yield f"http://127.0.0.1:{port}"


@pytest.fixture(scope="module")
def export(tmp_path_factory):
    """The page of an export of the network of the digits."""
    from irevnet_tf.apps import serve_page
    from irevnet_tf.apps.page.routes import Page

    folder = tmp_path_factory.mktemp("export")
    model = irevnet_tf.IRevNet28(weights="digits", lossless=True)
    irevnet_tf.export_saved_model(model, folder, class_names="digits")
    found = serve_page.explore(serve_page.Request(directory=str(folder)))
    ((name, (explorer, samples)),) = found.items()
    return Page({name: explorer}, {name: samples})


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
    yield driver
    driver.quit()


class Shown:
    """The page in the browser, and what happened since it was opened."""

    def __init__(self, browser, address):
        self.browser, self.address = browser, address
        browser.get(address)
        self.until(lambda: self.text("bits"))

    def find(self, name):
        return self.browser.find_element("id", name)

    def text(self, name):
        return self.find(name).text

    def drawn(self, name):
        """Return what a canvas shows."""
        return self.browser.execute_script(ALL.format(name))

    def until(self, condition):
        return webdriver.support.wait.WebDriverWait(
            self.browser, SECONDS
        ).until(lambda _: condition())

    def press(self, name, *keys):
        element = self.find(name)
        self.browser.execute_script("arguments[0].focus()", element)
        element.send_keys(*keys)


@pytest.fixture
def shown(browser, address):
    """The page; in the end, no errors and no other hosts must have been."""
    for kind in ("browser", "performance"):
        browser.get_log(kind)
    shown = Shown(browser, address)
    yield shown
    assert browser.get_log("browser") == []
    events = [
        json.loads(x["message"])["message"]
        for x in browser.get_log("performance")
    ]
    addresses = [
        x["params"]["request"]["url"]
        for x in events
        if x["method"] == "Network.requestWillBeSent"
    ]
    assert any(x == f"{address}/api/networks" for x in addresses)
    for x in addresses:
        assert x.startswith((f"{address}/", "data:image/")), x


def upload(shown, folder, name, raw, slot="first"):
    path = folder / name
    path.write_bytes(raw)
    shown.find(f"{slot}-file").send_keys(str(path))


def test_it_opens_on_a_sample_and_shows_that_no_bit_is_lost(shown):
    assert shown.text("bits") == "0 of 2,048 bits differ"
    assert shown.text("difference-caption") == "No difference"
    assert shown.drawn("rebuilt") == shown.drawn("original")
    shown.until(lambda: shown.text("classes").startswith("0"))
    shown.until(lambda: shown.text("stages").count("positions") == 3)
    assert "exact to the last bit" in shown.text("about")
    assert shown.text("problem") == ""


def test_an_upload_is_classified_and_rebuilt(shown, tmp_path):
    before = shown.drawn("rebuilt")
    raw = page_files.encoded(page_files.picture(400, 300), "JPEG")
    upload(shown, tmp_path, "photo.jpeg", raw)
    shown.until(lambda: shown.text("first-note").startswith("photo.jpeg"))
    shown.until(lambda: shown.drawn("rebuilt") not in ("", before))
    assert shown.text("bits").startswith("0 of ")
    assert shown.drawn("rebuilt") == shown.drawn("original")
    assert shown.text("classes").count("%") == 5
    shown.browser.execute_script(
        "document.getElementById('bits').textContent = ''"
    )
    shown.press("point", Keys.HOME)
    assert shown.find("point").get_attribute("value") == "stage1_block1"
    shown.until(lambda: shown.text("bits").startswith("0 of "))


@pytest.mark.parametrize(
    "name, note",
    [
        ("one.png", ""),
        ("gray_alpha.png", "Its transparent parts are white here."),
        ("alpha.png", "Its transparent parts are white here."),
        ("gray.jpeg", ""),
        ("moving.gif", "This is the first frame of an animation."),
    ],
)
def test_odd_files_are_shown(shown, tmp_path, name, note):
    upload(shown, tmp_path, name, page_files.sound_files()[name], "second")
    shown.until(lambda: shown.text("second-note") == f"{name}. {note}".strip())
    assert shown.text("problem") == ""


def test_a_file_is_dropped(shown):
    raw = page_files.sound_files()["one.png"]
    shown.browser.execute_script(DROP, "slot-second", list(raw))
    shown.until(lambda: shown.text("second-note") == "dropped.png.")
    # Beside the places for files, it must not replace the page.
    shown.browser.execute_script(DROP, "classes-title", list(raw))
    assert shown.text("bits") == "0 of 2,048 bits differ"


@pytest.mark.parametrize("name", ["one.png", "text.png"])
def test_a_file_that_is_read_later_replaces_no_later_picture(shown, name):
    raw = {**page_files.sound_files(), "text.png": b"no picture"}[name]
    shown.browser.execute_script(
        f"{DROP}; document.querySelector('#samples button').click();",
        "slot-first",
        list(raw),
    )
    note = shown.text("first-note")
    assert note
    shown.until(lambda: shown.browser.execute_script(ANSWERED))
    # What waits for the answer comes first.
    shown.browser.execute_async_script("setTimeout(arguments[0], 100)")
    assert shown.text("first-note") == note
    assert shown.text("problem") == ""
    if name == "text.png":
        # Chromium writes refused requests to the console.
        shown.browser.get_log("browser")


def test_what_is_dropped_and_is_no_file_is_told_of(shown):
    shown.browser.execute_script(DROP_TEXT, "slot-second")
    shown.until(lambda: shown.text("problem") == "What was dropped is no file.")


def test_an_export_is_shown_without_what_it_lacks(browser, export):
    browser.get_log("browser")
    with page_networks.served(export) as port:
        shown = Shown(browser, f"http://127.0.0.1:{port}")
        assert shown.text("bits") == "0 of 2,048 bits differ"
        assert shown.drawn("rebuilt") == shown.drawn("original")
        assert shown.text("absent").startswith("An export holds")
        assert not shown.find("metamers-part").is_displayed()
        for name in ("point", "between-point"):
            assert shown.text(name) == "the representation"
        shown.until(lambda: shown.text("classes").startswith("0"))
        shown.until(lambda: "2x2 positions" in shown.text("stages"))
        shown.press("share", Keys.END)
        shown.until(
            lambda: shown.find("between").get_attribute("data-share") == "1"
        )
        assert shown.drawn("between") == shown.drawn("second")
        assert shown.text("problem") == ""
        assert browser.get_log("browser") == []


def test_a_photograph_of_12_megapixels_is_shown(shown, tmp_path):
    raw = page_files.encoded(Image.new("RGB", (4000, 3000), "tan"), "JPEG")
    upload(shown, tmp_path, "large.jpeg", raw)
    shown.until(lambda: shown.text("first-note") == "large.jpeg.")


def test_broken_files_are_told_of_and_change_nothing(
    browser, address, tmp_path
):
    shown = Shown(browser, address)
    before = shown.drawn("first")
    raw = page_files.sound_files()["photo.jpeg"]
    upload(shown, tmp_path, "broken.jpeg", raw[:-300])
    shown.until(lambda: "damaged or not whole" in shown.text("problem"))
    upload(shown, tmp_path, "text.png", b"hello")
    shown.until(lambda: "is no picture" in shown.text("problem"))
    upload(shown, tmp_path, "long.png", bytes(21 * 2**20))
    shown.until(lambda: "at most 20 MB" in shown.text("problem"))
    assert shown.drawn("first") == before
    # Chromium itself notes that an answer is no success, and nothing else.
    entries = browser.get_log("browser")
    assert len(entries) == 2
    for entry, status in zip(entries, ("422", "415"), strict=True):
        assert f"responded with a status of {status}" in entry["message"]
    # What is right afterwards takes the sentence away.
    upload(shown, tmp_path, "right.jpeg", raw)
    shown.until(lambda: shown.text("problem") == "")


def test_the_slider_decodes_as_it_moves(shown):
    shown.until(lambda: shown.drawn("between").startswith("data:image/png"))
    share = shown.find("share")
    shown.press("share", Keys.HOME)

    def decoded(value):
        return (
            shown.find("between").get_attribute("data-share") == value
            and shown.text("share-value") == f"{round(100 * float(value))} %"
        )

    shown.until(lambda: decoded("0"))
    assert shown.drawn("between") == shown.drawn("first")
    assert shown.drawn("blend") == shown.drawn("first")
    seen = set()
    for value in range(10, 60, 10):
        shown.press("share", Keys.PAGE_UP)
        shown.until(lambda value=value: decoded(str(value / 100)))
        seen.add(shown.drawn("between"))
    assert len(seen) == 5
    assert share.get_attribute("value") == "50"
    shown.press("share", Keys.END)
    shown.until(lambda: decoded("1"))
    assert shown.drawn("between") == shown.drawn("second")


def test_a_digit_is_drawn_with_the_keyboard(shown):
    before = shown.drawn("second")
    summary = shown.find("drawing").find_element("tag name", "summary")
    summary.send_keys(Keys.ENTER)
    shown.browser.find_element("css selector", "[value=second]").click()
    shown.press("pad", Keys.ARROW_UP, Keys.ARROW_UP, Keys.SPACE)
    assert shown.text("pad-state") == "The pen is down."
    shown.press("pad", *[Keys.ARROW_DOWN] * 4)
    shown.press("pad-take", Keys.ENTER)
    assert shown.text("second-note") == "Drawn here."
    assert shown.drawn("second") != before
    shown.press("pad-clear", Keys.ENTER)
    empty = shown.drawn("pad")
    webdriver.ActionChains(shown.browser).drag_and_drop_by_offset(
        shown.find("pad"), 30, 30
    ).perform()
    assert shown.drawn("pad") != empty


def test_samples_are_chosen_and_turned_to_their_negative(shown):
    before = shown.drawn("first")
    shown.browser.find_elements("css selector", "#samples button")[7].send_keys(
        Keys.ENTER
    )
    shown.until(lambda: shown.text("classes").startswith("7"))
    chosen = shown.drawn("first")
    shown.press("first-inverted", Keys.ENTER)
    assert len({before, chosen, shown.drawn("first")}) == 3


def test_a_search_is_watched_and_stopped(shown):
    shown.press("search", Keys.ENTER)
    shown.until(
        lambda: re.search(r"steps in \d+ s", shown.text("search-state"))
    )
    assert not shown.find("search").is_enabled()
    shown.press("search-stop", Keys.ENTER)
    shown.until(lambda: shown.text("search-state") == "Stopped.")
    assert shown.find("search").is_enabled()
    assert shown.text("problem") == ""


def test_it_fits_a_phone_and_follows_dark_mode(shown):
    light = shown.browser.execute_script(BACKGROUND)
    for command, values in (
        (
            "Emulation.setDeviceMetricsOverride",
            {"width": 360, "height": 740, "deviceScaleFactor": 1}
            | {"mobile": True},
        ),
        (
            "Emulation.setEmulatedMedia",
            {"features": [{"name": "prefers-color-scheme", "value": "dark"}]},
        ),
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
