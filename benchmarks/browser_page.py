"""The page without a server over all test images: what comes back, and when.

    python tools/build_browser_page.py --output=runs/browser
    python benchmarks/browser_page.py --page=runs/browser

in a checkout, with the extras `onnx` and `test`, Chromium and its driver, and
Fashion-MNIST as TFDS has it (--data_dir). In a headless Chromium that can reach
this machine only, the page's own modules classify and rebuild every test image
of both networks, one by one. Probabilities are compared with Keras'.
"""

import argparse
import contextlib
import functools
import http.server
import shutil
import threading
import time

import numpy as np
from selenium import webdriver

import irevnet_tf
from irevnet_tf.data import load_dataset

NETWORKS = ("digits", "fashion_mnist")
SWITCHES = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
)
AT_ONCE = 500
SECONDS = 600
# In the page: [probabilities], [bits that differ] and [milliseconds].
SCRIPT = """
const [folder, images, finish] = arguments;
const run = async () => {
  const { Network, differingBits } =
    await import(new URL("network.js", location.href));
  const about = (await (await fetch("networks.json")).json())
    .find((x) => x.folder === folder);
  window.measured ??= {};
  const network = window.measured[folder] ??= await Network.load(about);
  const found = [[], [], []];
  for (const pixels of images) {
    const image = network.image(pixels);
    const start = performance.now();
    const there = await network.encode(image);
    const back = await network.decode(there);
    found[2].push(performance.now() - start);
    found[0].push([...there.probabilities]);
    found[1].push(differingBits(image, back));
  }
  return found;
};
run().then(finish, (error) => finish(String(error.stack)));
"""


class Handler(http.server.SimpleHTTPRequestHandler):
    """Serves files, and says nothing."""

    def log_message(self, *args):
        pass


@contextlib.contextmanager
def opened(page):
    """Yield a browser with the page open."""
    handler = functools.partial(Handler, directory=page)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium")
    for switch in SWITCHES:
        options.add_argument(switch)
    service = webdriver.ChromeService(shutil.which("chromedriver"))
    browser = webdriver.Chrome(options=options, service=service)
    try:
        browser.set_script_timeout(SECONDS)
        browser.get(f"http://127.0.0.1:{server.server_port}/")
        yield browser
    finally:
        browser.quit()
        server.shutdown()


def row(browser, name, data_dir):
    """Measure a network, and return the cells of a row of the table."""
    dataset = load_dataset(name, data_dir=data_dir, download=False)
    images, labels = dataset.arrays("test", dataset.test.count)
    scale = dataset.normalization
    raw = np.asarray(scale.undo(images)) * (255.0 / scale.maximum)
    pixels = np.rint(raw).astype("uint8").reshape(len(images), -1)
    parts = []
    for start in range(0, len(pixels), AT_ONCE):
        part = pixels[start : start + AT_ONCE].tolist()
        found = browser.execute_async_script(SCRIPT, name, part)
        if isinstance(found, str):
            raise RuntimeError(f"The page must run {name}. Received: {found}")
        parts.append(map(np.array, found))
    probabilities, bits, milliseconds = map(
        np.concatenate, zip(*parts, strict=True)
    )
    model = irevnet_tf.IRevNet28(weights=name, lossless=True)
    # As the page has them: 16 shades of gray are no whole parts of 255.
    given = pixels.reshape(images.shape).astype("float32") / 255.0
    expected = model.predict(given, verbose=0)
    tops = np.argmax(probabilities, axis=1)
    return (
        name,
        f"{len(images):,}",
        f"{np.mean(tops == labels):.2%}",
        f"{np.mean(np.argmax(expected, axis=1) == labels):.2%}",
        f"{np.max(np.abs(probabilities - expected)):.1e}",
        f"{np.sum(bits):,} of {32 * pixels.size:,}",
        f"{np.median(milliseconds):.0f} ms",
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--page", required=True)
    parser.add_argument("--data_dir")
    values = parser.parse_args()
    titles = (
        "network",
        "test images",
        "accuracy",
        "of Keras",
        "probabilities, from Keras'",
        "bits that differ",
        "there and back, median",
    )
    print(f"| {' | '.join(titles)} |\n|{'---|' * len(titles)}")
    start = time.perf_counter()
    with opened(values.page) as browser:
        for name in NETWORKS:
            cells = row(browser, name, values.data_dir)
            print(f"| {' | '.join(cells)} |", flush=True)
        version = browser.capabilities["browserVersion"]
    print(f"\nChromium {version}, {time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
