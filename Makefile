# Everything here needs only Python 3.11 or newer, with its venv module.
#
#   make demo   train, evaluate, invert, export and serve a small network on
#               real digits; its last line starts a page to try it on
#   make test   run the tests, but for those of the next line
#   make test-programs
#               run tests that start whole programs: trainings that are killed,
#               several workers, the examples, the code of all documents
#   make bench  measure against PyTorch, MemCNN and keras.remat, 40 min;
#               make bench BENCH_FLAGS=--quick for a look, in minutes
#   make docs   build the documentation site, docs/_build/html/index.html
#   make browser  make a page that runs both small networks in the browser,
#               without a server, runs/browser; needs npm, too
#   make lint   check style and formatting
#   make clean  remove the environments and everything that was built
#
# DEMO_FLAGS are passed on to the demo: make demo DEMO_FLAGS="--epochs=20"

PYTHON ?= python3
DEMO_FLAGS ?=
SOURCES := $(shell find irevnet_tf weights -name "*.py" -o -name "*.json" \
    -o -name "*.h5" -o -name "*.jinja" -o -path "*/static/*")

PYTEST := .venv/bin/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

export PIP_DISABLE_PIP_VERSION_CHECK = 1

.PHONY: bench browser demo docs test test-programs lint clean

# -P: import the installed package, not the sources beside this file.
# TF_CPP_MIN_LOG_LEVEL: a machine without a GPU is not an error here.
demo: .venv-demo/installed
	rm -rf runs/demo
	TF_CPP_MIN_LOG_LEVEL=3 .venv-demo/bin/python -P -m irevnet_tf.apps.demo \
	    --run_dir=runs/demo $(DEMO_FLAGS)
	@echo
	@echo "Try it in a browser: .venv-demo/bin/irevnet-demo --run_dir=runs/demo"

test: .venv/installed
	$(PYTEST) -m "not programs" tests

test-programs: .venv/installed
	$(PYTEST) -m programs tests

bench: .venv-bench/installed
	TF_CPP_MIN_LOG_LEVEL=3 .venv-bench/bin/python benchmarks/bench.py \
	    $(BENCH_FLAGS)

# Warnings are errors; what no warning tells of, tools/check_site.py does.
docs: .venv-docs/installed
	.venv-docs/bin/python -m sphinx --quiet --fail-on-warning \
	    --fresh-env --conf-dir docs \
	    --doctree-dir docs/_build/doctrees . docs/_build/html
	.venv-docs/bin/python tools/check_site.py docs/_build/html

browser: .venv-browser/installed
	TF_CPP_MIN_LOG_LEVEL=3 .venv-browser/bin/python tools/build_browser_page.py

lint: .venv/installed
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .

clean:
	rm -rf .venv .venv-bench .venv-browser .venv-demo .venv-docs \
	    .pytest_cache .ruff_cache build dist docs/_build runs irevnet_tf.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/installed: setup.py
	$(PYTHON) -m venv .venv
	.venv/bin/python -m pip install --quiet --upgrade pip
	.venv/bin/python -m pip install --quiet --editable ".[test]"
	touch $@

# PyTorch's default build for Linux is several GB with its GPU libraries. This
# version is small where CPU builds are served.
.venv-bench/installed: setup.py
	$(PYTHON) -m venv .venv-bench
	.venv-bench/bin/python -m pip install --quiet --upgrade pip
	.venv-bench/bin/python -m pip install --quiet "torch==2.13.0" \
	    --editable ".[bench]"
	touch $@

.venv-browser/installed: setup.py
	$(PYTHON) -m venv .venv-browser
	.venv-browser/bin/python -m pip install --quiet --upgrade pip
	.venv-browser/bin/python -m pip install --quiet --editable ".[onnx]"
	touch $@

.venv-demo/dependencies: setup.py
	$(PYTHON) -m venv .venv-demo
	.venv-demo/bin/python -m pip install --quiet --upgrade pip
	.venv-demo/bin/python -m pip install --quiet ".[demo,serving]"
	touch $@

.venv-docs/installed: setup.py
	$(PYTHON) -m venv .venv-docs
	.venv-docs/bin/python -m pip install --quiet --upgrade pip
	.venv-docs/bin/python -m pip install --quiet --editable ".[docs]"
	touch $@

# The package itself again whenever a source changed. A build directory of an
# earlier installation could smuggle deleted modules into this one.
.venv-demo/installed: .venv-demo/dependencies $(SOURCES)
	rm -rf build
	.venv-demo/bin/python -m pip install --quiet --no-deps \
	    --force-reinstall .
	touch $@
