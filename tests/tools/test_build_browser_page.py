"""Tests of tools/build_browser_page.py, without npm and a browser."""

import base64
import hashlib
import json
import pathlib
import re
import stat

import build_browser_page
import pytest

PAGE = build_browser_page.PAGE
SOURCES = sorted(
    [
        x
        for x in PAGE.iterdir()
        if x.name not in build_browser_page.PACKAGE_FILES
    ]
    + [build_browser_page.SHARED / x for x in build_browser_page.SHARED_FILES]
)
MADE = {"files.js", "networks.json"} | {
    f"ort/{x}" for x in build_browser_page.RUNTIME_FILES.values()
}
NAMES = {x.name for x in SOURCES} | MADE
INDEX = (PAGE / "index.html").read_text(encoding="utf-8")
POLICY = {
    "default-src": "'none'",
    "script-src": "'self' 'wasm-unsafe-eval'",
    "style-src": "'self'",
    "img-src": "'self'",
    "connect-src": "'self'",
    "base-uri": "'none'",
    "form-action": "'none'",
}
# Paths in imports, in attributes, and in what is fetched and registered.
PATHS = re.compile(
    r"""(?:from |import |href=|src=|fetch\(|register\(|importScripts\()"""
    r'''"([^"]+)"'''
)


def test_the_runtime_is_pinned_and_the_lock_names_no_host():
    package = json.loads((PAGE / "package.json").read_text())
    text = (PAGE / "package-lock.json").read_text()
    lock = json.loads(text)["packages"]
    ((name, version),) = package["dependencies"].items()
    assert re.fullmatch(r"\d+\.\d+\.\d+", version)
    assert lock.pop("")["dependencies"] == {name: version}
    assert lock[f"node_modules/{name}"]["version"] == version
    assert "resolved" not in text and "://" not in text
    for one in lock.values():
        assert one["integrity"].startswith("sha512-")


def test_the_policy_allows_this_host_alone():
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]+)"', INDEX)
    assert POLICY == dict(x.split(" ", 1) for x in policy.split("; "))
    # It comes before all that it is to govern.
    head = INDEX.index("Content-Security-Policy")
    assert head < min(INDEX.index("<script"), INDEX.index("<link"))
    assert not re.search(r"<style|style=|\son\w+=|<script>", INDEX)


@pytest.mark.parametrize("path", SOURCES, ids=lambda x: x.name)
def test_all_that_a_file_names_is_in_the_folder(path):
    text = path.read_text(encoding="utf-8")
    for name in PATHS.findall(text):
        assert name.removeprefix("./") in NAMES, name
    assert "://" not in text.replace("http://www.w3.org/2000/svg", "")


def test_the_page_has_what_its_script_looks_for():
    script = (PAGE / "page.js").read_text(encoding="utf-8")
    ids = set(re.findall(r'id="([^"]+)"', INDEX))
    wanted = set(re.findall(r'find\("([^"]+)"\)', script))
    wanted |= {
        f"{slot}-{part}"
        for part in re.findall(r"find\(`\$\{name\}-(\w+)`\)", script)
        for slot in ("first", "second")
    }
    assert len(wanted) > 15
    assert wanted <= ids
    for kind in ("for", "aria-labelledby", "aria-describedby"):
        assert set(re.findall(rf'{kind}="([^"]+)"', INDEX)) <= ids


def test_sources_are_copied_without_the_list_of_packages(tmp_path):
    build_browser_page.copy_sources(tmp_path)
    assert {x.name for x in tmp_path.iterdir()} == NAMES - MADE


def test_files_are_listed_with_their_digests(tmp_path):
    contents = {"index.html": b"page", "ort/a.wasm": b"runtime"}
    (tmp_path / "ort").mkdir()
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    text = build_browser_page.list_of_files(tmp_path)
    found = json.loads(re.search(r"FILES = (\{.*\});", text, re.S)[1])
    digests = {
        name: base64.b64encode(hashlib.sha256(content).digest()).decode()
        for name, content in contents.items()
    }
    digests["./"] = digests["index.html"]
    assert found == {name: f"sha256-{x}" for name, x in digests.items()}
    (tmp_path / "index.html").write_bytes(b"another page")
    versions = [
        re.search('VERSION = "(.{16})"', x)[1]
        for x in (text, build_browser_page.list_of_files(tmp_path))
    ]
    assert versions[0] != versions[1]


def test_strays_are_not_copied(tmp_path, monkeypatch):
    source, made = tmp_path / "source", tmp_path / "made"
    (source / "node_modules").mkdir(parents=True)
    made.mkdir()
    for name in ("page.js", ".DS_Store", "package.json"):
        (source / name).touch()
    monkeypatch.setattr(build_browser_page, "PAGE", source)
    build_browser_page.copy_sources(made)
    found = {path.name for path in made.iterdir()}
    assert found == {"page.js", *build_browser_page.SHARED_FILES}


def test_only_pages_are_replaced(tmp_path):
    for name in ("empty", "page", "other"):
        (tmp_path / name).mkdir()
    (tmp_path / "page" / build_browser_page.LIST).touch()
    (tmp_path / "other" / "thesis.tex").touch()
    # A page in a checkout: not all there is was made by this tool.
    (tmp_path / "checkout" / ".git").mkdir(parents=True)
    (tmp_path / "checkout" / build_browser_page.LIST).touch()
    (tmp_path / "checkout" / ".git" / "config").touch()
    for name in ("new", "empty", "page"):
        build_browser_page.require_replaceable_page(tmp_path / name)
    others = ("other", "other/thesis.tex", "checkout")
    for path in map(tmp_path.joinpath, others):
        with pytest.raises(ValueError, match="a new folder, or one that this"):
            build_browser_page.build(path)
    assert (tmp_path / "other" / "thesis.tex").exists()


def test_npm_must_be_there(monkeypatch, tmp_path):
    monkeypatch.setattr(build_browser_page, "import_tf2onnx", lambda: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ImportError, match="it comes with Node.js"):
        build_browser_page.build(tmp_path / "page")
    assert not any(tmp_path.iterdir())


def test_what_npm_says_is_told(tmp_path):
    npm = tmp_path / "npm"
    npm.write_text("#!/bin/sh\necho no such version >&2\nexit 1\n")
    npm.chmod(npm.stat().st_mode | stat.S_IXUSR)
    with pytest.raises(OSError, match="ci .*no such version"):
        build_browser_page.copy_runtime(
            str(npm), tmp_path / "npm_folder", tmp_path / "ort"
        )
    assert not pathlib.Path(tmp_path / "ort").exists()


def test_a_page_that_fails_leaves_what_was_there(monkeypatch, tmp_path):
    def copy_runtime(npm, scratch, folder):
        raise OSError("no room")

    monkeypatch.setattr(build_browser_page, "import_tf2onnx", lambda: None)
    monkeypatch.setattr(build_browser_page, "require_npm", lambda: "npm")
    monkeypatch.setattr(build_browser_page, "copy_runtime", copy_runtime)
    page = tmp_path / "page"
    page.mkdir()
    (page / build_browser_page.LIST).write_text("before")
    with pytest.raises(OSError, match="no room"):
        build_browser_page.build(page)
    assert [x.name for x in tmp_path.iterdir()] == ["page"]
    assert (page / build_browser_page.LIST).read_text() == "before"
