"""Check built pages: links lead somewhere, and nothing comes from elsewhere.

python tools/check_site.py docs/_build/html
"""

import collections
import html.parser
import pathlib
import re
import sys
import urllib.parse

# Attributes whose address a browser loads by itself. A `link` may also be a
# page that is only named.
LOADED = {"src", "srcset", "poster", "data"}
LOADED_RELATIONS = {"stylesheet", "icon", "preload", "preconnect", "manifest"}
IN_STYLES = re.compile(
    r"""@import\s+["']([^"']+)|url\(\s*["']?([^"')]+)""", re.IGNORECASE
)


class Page(html.parser.HTMLParser):
    """What one page loads, where it leads, and where links can lead in it.

    Attributes:
        loaded: list of str. Addresses that a browser loads with the page.
        links: list of str. Those of its links.
        anchors: set of str. Names of places in it.
    """

    def __init__(self, text):
        super().__init__()
        self.loaded, self.links, self.anchors = [], [], set()
        self._in_style = False
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        values = {key: value or "" for key, value in attributes}
        self._in_style = tag == "style"
        self.anchors.update(
            values[key] for key in ("id", "name") & values.keys()
        )
        self.loaded += [values[key] for key in LOADED & values.keys()]
        self.loaded += addresses_in(values.get("style", ""))
        if tag == "link" and LOADED_RELATIONS & set(values["rel"].split()):
            self.loaded.append(values["href"])
        elif tag in ("image", "use"):
            self.loaded += [
                values[key] for key in ("href", "xlink:href") & values.keys()
            ]
        elif "href" in values:
            self.links.append(values["href"])

    def handle_data(self, data):
        if self._in_style:
            self.loaded += addresses_in(data)

    def handle_endtag(self, tag):
        self._in_style = False


def addresses_in(style: str) -> list[str]:
    """Return the addresses that a style sheet loads."""
    return ["".join(found) for found in IN_STYLES.findall(style)]


def is_elsewhere(address: str) -> bool:
    """Return whether an address is on another host."""
    parts = urllib.parse.urlsplit(address.strip())
    return bool(parts.netloc) or parts.scheme not in ("", "data")


def problems_of(folder: pathlib.Path) -> list[str]:
    """Return what is wrong with the pages in a folder, a sentence each.

    Args:
        folder: path. A built site.

    Raises:
        ValueError: if there is no page in it.
    """
    folder = pathlib.Path(folder).resolve()
    pages = {
        path: Page(path.read_text(encoding="utf-8"))
        for path in sorted(folder.rglob("*.html"))
    }
    if not pages:
        raise ValueError(
            f"A built site has pages. Received: folder={str(folder)!r}"
        )
    found = []
    for path, page in pages.items():
        name = path.relative_to(folder)
        for address in page.loaded:
            if is_elsewhere(address):
                found.append(f"{name} loads {address}")
        for address in page.loaded + page.links:
            if not is_elsewhere(address):
                found += _dead_end(pages, path, name, address)
    for path in sorted(folder.rglob("*.css")):
        for address in addresses_in(path.read_text(encoding="utf-8")):
            if is_elsewhere(address):
                found.append(f"{path.relative_to(folder)} loads {address}")
    return list(collections.Counter(found))


def _dead_end(pages, path, name, address):
    """Return what is wrong with an address on this site, if anything is."""
    parts = urllib.parse.urlsplit(address)
    if parts.scheme == "data":
        return []
    target = path
    if parts.path:
        target = path.parent.joinpath(urllib.parse.unquote(parts.path))
        target = target.resolve()
        target = target / "index.html" if target.is_dir() else target
        if not target.is_file():
            return [f"{name} leads to {address}, which is not there"]
    place = urllib.parse.unquote(parts.fragment)
    if place and target in pages and place not in pages[target].anchors:
        return [f"{name} leads to {address}, a place that is not there"]
    return []


if __name__ == "__main__":
    problems = problems_of(pathlib.Path(sys.argv[1]))
    print("\n".join(problems) or "All links lead somewhere.")
    sys.exit(bool(problems))
