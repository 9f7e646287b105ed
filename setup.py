"""Packaging of irevnet_tf."""

import pathlib
import runpy

from setuptools import find_packages
from setuptools import setup

ROOT = pathlib.Path(__file__).parent
VERSION = runpy.run_path(str(ROOT / "irevnet_tf" / "version.py"))

setup(
    name="irevnet_tf",
    version=VERSION["__version__"],
    description="Deep invertible networks (i-RevNet) for Keras 3.",
    long_description=pathlib.Path(__file__)
    .with_name("README.md")
    .read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    author="The irevnet_tf authors",
    license="Apache-2.0",
    license_files=["LICENSE"],
    packages=[
        *find_packages(include=["irevnet_tf", "irevnet_tf.*"]),
        "irevnet_tf.weights",
    ],
    # The small weights and their registry are data of the package.
    package_dir={"irevnet_tf.weights": "weights"},
    package_data={
        "irevnet_tf.apps": ["command_flags.json"],
        "irevnet_tf.apps.analysis": ["*.jinja"],
        "irevnet_tf.apps.page": ["static/*"],
        "irevnet_tf.models": ["class_names.json"],
        "irevnet_tf.weights": ["registry.json", "*.weights.h5"],
    },
    python_requires=">=3.11",
    install_requires=[
        "absl-py>=2.1",
        # Imported by tensorflow-datasets, which requires it for old Pythons
        # only.
        "importlib_resources>=6.0",
        # Memory-saving training builds on how these two trace and save
        # layers, which changes between minor releases. Raise an upper bound
        # together with a run of the whole test suite.
        "keras>=3.15.1,<3.16",
        "tensorflow>=2.21,<2.22",
        # Read here to check weights files that Keras writes.
        "h5py>=3.11",
        # For reports in HTML. Earlier releases have holes in their sandbox
        # (CVE-2025-27516).
        "jinja2>=3.1.6",
        # The first releases of these three that are built for NumPy 2.
        "matplotlib>=3.9",
        "numpy>=2.0",
        # For animations. Earlier releases have a hole in how they read fonts
        # (CVE-2026-42308).
        "pillow>=12.2",
        "scikit-learn>=1.5",
        # Singular values; the first release that is built for NumPy 2.
        "scipy>=1.13",
        "tensorflow-datasets>=4.9.10",
    ],
    extras_require={
        # What the benchmarks compare with.
        "bench": ["torch>=2.10", "pytorchcv>=0.0.74", "memcnn>=1.5.2"],
        # Only to convert PyTorch checkpoints. Before 2.10, its safe loading
        # was not (CVE-2026-24747).
        "convert": ["torch>=2.10", "pytorchcv>=0.0.74"],
        # For the page that irevnet-demo serves.
        "demo": ["starlette>=1.1", "uvicorn>=0.35"],
        # The documentation site; `make docs` builds it.
        "docs": ["furo>=2025.9", "myst-parser>=5.0", "sphinx>=8.2"],
        # To run exported files elsewhere than in TensorFlow; the first also
        # to make them.
        "onnx": ["tf2onnx>=1.17", "onnxruntime>=1.20"],
        "litert": ["ai-edge-litert>=2.0"],
        # To put its tasks on these networks.
        "kerashub": ["keras-hub>=0.32,<0.33"],
        # For clients of TensorFlow Serving, and for warm-up requests. Its
        # protos follow TensorFlow's version.
        "serving": [
            "grpcio>=1.60",
            "requests>=2.32",
            "tensorflow-serving-api>=2.21,<2.22",
        ],
        "test": [
            "build",
            # To ask the page of irevnet-demo, in this process and in a browser.
            "httpx>=0.28",
            "pytest>=8.0",
            "pytest-xdist>=3.5",
            # What REST clients need.
            "requests>=2.32",
            "ruff>=0.9",
            "selenium>=4.20",
        ],
    },
    entry_points={
        "console_scripts": [
            "irevnet-train=irevnet_tf.apps.commands:train",
            "irevnet-evaluate=irevnet_tf.apps.commands:evaluate",
            "irevnet-invert=irevnet_tf.apps.commands:invert",
            "irevnet-compare=irevnet_tf.apps.commands:compare",
            "irevnet-convert=irevnet_tf.apps.commands:convert",
            "irevnet-export=irevnet_tf.apps.commands:export",
            "irevnet-analyze=irevnet_tf.apps.commands:analyze",
            "irevnet-portable=irevnet_tf.apps.commands:portable",
            "irevnet-certify=irevnet_tf.apps.commands:certify",
            "irevnet-serve=irevnet_tf.apps.commands:serve",
            "irevnet-demo=irevnet_tf.apps.commands:demo",
        ],
    },
    classifiers=[
        "Intended Audience :: Science/Research",
        "Programming Language :: Python :: 3",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
    ],
)
