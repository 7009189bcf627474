"""A base classifier as an ONNX file with a card beside it, and such a file as a classifier."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import warnings
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from rsmooth._version import __version__
from rsmooth.models.functions import FunctionClassifier, function_of
from rsmooth.models.hashing import base_hash
from rsmooth.models.state import copied
from rsmooth.noise.distributions import noise_of_record
from rsmooth.plumbing.errors import RecordError
from rsmooth.plumbing.files import replace_file
from rsmooth.plumbing.numbers import check_sizes
from rsmooth.plumbing.optional import optional
from rsmooth.plumbing.paths import user_path
from rsmooth.smoothed import SmoothedClassifier

FORMAT = "rsmooth-onnx-1"
SUFFIX = ".onnx"
_FILE = "model.onnx"
# Between the exported graph and the network, relative to the largest logit: what another order of
# sums in float32 leaves, and more.
TOLERANCE = 1e-3


def export_onnx(g: SmoothedClassifier, path: str | os.PathLike[str], shape: Sequence[int]) -> Path:
    """Write the base classifier of g as an ONNX graph, and a card beside it; returns the graph.

        export_onnx(g, "model.onnx", shape=(3, 32, 32))       # and model.json

    path: a name in .onnx, or a folder for model.onnx and model.json.
    shape: (C, H, W) of the images.

    The graph takes float32 images (N, C, H, W) in [0, 1], noisy ones too, of any N, as input ``x``,
    and answers ``logits`` (N, K). Normalisation is inside. Noise is not: whoever votes draws it.
    The card states noise, classes, shape, the hash of the network and that of the graph. Where
    onnxruntime is installed, its logits on a few images are compared with those of the network.

    ImportError without onnx and onnxscript, ValueError for a network that cannot be exported or
    that the graph does not equal, and where the card would replace a file that is no card.
    """
    if len(shape) != 3:
        raise ValueError(f"expected shape (C, H, W), got {tuple(shape)}")
    check_sizes(channels=shape[0], height=shape[1], width=shape[2])
    for package in ("onnx", "onnxscript"):
        optional(package, "export to ONNX", "'rsmooth[onnx]'")
    path = user_path(path)
    target = path if path.suffix == SUFFIX else path / _FILE
    _check_free(target)
    base = _plain(g)
    _check_taken(base, tuple(shape))
    graph = _graph(base, tuple(shape))
    compared = _compare(graph, base, tuple(shape), g.num_classes)
    card = {
        "format": FORMAT,
        "rsmooth": __version__,
        "noise": g.noise.record(),
        "num_classes": g.num_classes,
        "image_shape": list(shape),
        "input": "x: float32 (N, C, H, W), pixel values in [0, 1] plus noise",
        "output": "logits: float32 (N, K)",
        "normalization": "in the graph",
        "model_hash": base_hash(g.base),
        "sha256": hashlib.sha256(graph).hexdigest(),
        "compared_with_onnxruntime": compared,
        "torch": torch.__version__,
    }
    target.parent.mkdir(parents=True, exist_ok=True)
    replace_file(target, graph)
    text = json.dumps(card, indent=2, sort_keys=True) + "\n"
    replace_file(target.with_suffix(".json"), text.encode())
    return target


def load_onnx(path: str | os.PathLike[str]) -> SmoothedClassifier:
    """The classifier of an ONNX graph that ``export_onnx`` wrote, run by onnxruntime on the CPU.

        certify(load_onnx("model.onnx"), x, n=10_000)

    path: the graph, or its folder.

    It answers predictions and certificates, and no gradients: see ``FunctionClassifier``. A graph
    of others is a function: ``SmoothedClassifier.from_function(OnnxFunction(content), ...)``.
    ImportError without onnxruntime, ValueError without a card, RecordError for a graph that is not
    the one of the card.
    """
    path = user_path(path)
    file = path / _FILE if path.is_dir() else path
    card = _read_card(file)
    content = file.read_bytes()
    found = hashlib.sha256(content).hexdigest()
    if found != card.get("sha256"):
        raise RecordError(
            f"expected the graph that {file.with_suffix('.json')} is about in {file} (sha256 "
            f"{card.get('sha256')}), got {found}; export it again"
        )
    base = FunctionClassifier(
        OnnxFunction(content), card["num_classes"], name=file.name, sha256=found
    )
    noise = noise_of_record(card["noise"])
    return SmoothedClassifier(base, num_classes=card["num_classes"], noise=noise).eval()


class OnnxFunction:
    """An ONNX graph of one input and one output as a function of numpy arrays, by onnxruntime.

        OnnxFunction(Path("model.onnx").read_bytes())(x)    # x (B, C, H, W) float32

    content: of the file. It can be sent to other processes. ValueError for another graph.
    """

    def __init__(self, content: bytes) -> None:
        self.content = content
        self._session: Any = None
        self._open()

    def __call__(self, x: NDArray[np.float32]) -> NDArray[Any]:
        session = self._session or self._open()
        answer: NDArray[Any] = session.run(None, {session.get_inputs()[0].name: x})[0]
        return answer

    def _open(self) -> Any:
        runtime = optional("onnxruntime", "ONNX graphs", "'rsmooth[onnx]'")
        options = runtime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.log_severity_level = 3  # errors only
        try:
            session = runtime.InferenceSession(
                self.content, options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # onnxruntime has a dozen of its own
            raise ValueError(
                f"expected an ONNX graph, got what onnxruntime refuses ({error}); export it again"
            ) from error
        if len(session.get_inputs()) != 1 or len(session.get_outputs()) != 1:
            raise ValueError(
                "expected an ONNX graph of one input and one output, got "
                f"{len(session.get_inputs())} and {len(session.get_outputs())}; wrap it in a "
                "function of your own"
            )
        self._session = session
        return session

    def __getstate__(self) -> dict[str, Any]:
        return {"content": self.content, "_session": None}


def _plain(g: SmoothedClassifier) -> nn.Module:
    """The base classifier as it is exported: a copy on the CPU in float32 and eval mode."""
    if function_of(g.base) is not None:
        raise ValueError(
            f"expected a network of torch to export, got the function {g.base.name}; export what "
            "it is made of"
        )
    return copied(g.base).to("cpu", torch.float32).eval()


def _check_taken(base: nn.Module, shape: tuple[int, ...]) -> None:
    """ValueError unless the network takes images of this shape, which the exporter hardly says."""
    try:
        with torch.no_grad():
            base(torch.zeros(2, *shape, device="cpu"))
    except RuntimeError as error:
        raise ValueError(
            f"expected images that fit the network, got (C, H, W) = {shape}, of which it says: "
            f"{str(error).splitlines()[0]}; give the shape that it is for"
        ) from error


def _graph(base: nn.Module, shape: tuple[int, ...]) -> bytes:
    """The ONNX graph of a network for any number of images of this shape."""
    images = torch.rand((2, *shape), generator=torch.Generator().manual_seed(0), device="cpu")
    try:
        # Its own notes on deprecations are for torch's authors.
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            program: Any = torch.onnx.export(
                base,
                (images,),
                input_names=["x"],
                output_names=["logits"],
                dynamic_shapes=({0: torch.export.Dim("N", min=1)},),
                dynamo=True,
                verbose=False,
            )
            with tempfile.TemporaryDirectory() as folder:
                program.save(os.path.join(folder, _FILE), external_data=False)
                return Path(folder, _FILE).read_bytes()
    except Exception as error:  # of torch.export, of the exporter, of a forward that branches
        said = (str(error).strip() or "no reason").splitlines()[0][:300]
        raise ValueError(
            f"expected a network that torch.onnx exports, got {type(base).__name__} "
            f"({type(error).__name__}: {said}) with torch {torch.__version__} and onnxscript "
            f"{metadata.version('onnxscript')}; take releases of these two of about one age, "
            "certify it as it is, or export it by hand and use SmoothedClassifier.from_function"
        ) from error


def _compare(graph: bytes, base: nn.Module, shape: tuple[int, ...], num_classes: int) -> bool:
    """Whether onnxruntime was there to be asked; ValueError where it answers otherwise."""
    try:
        function = OnnxFunction(graph)
    except ImportError:
        return False
    for count in (1, 3):
        x = torch.randn(
            (count, *shape), generator=torch.Generator().manual_seed(count), device="cpu"
        )
        with torch.no_grad():
            logits: Tensor = base(x)
        found = torch.from_numpy(np.asarray(function(x.numpy())))
        apart = float((found - logits).abs().max()) if found.shape == logits.shape else float("inf")
        if not apart <= TOLERANCE * max(1.0, float(logits.abs().max())):
            raise ValueError(
                f"expected a graph with the logits ({count}, {num_classes}) of the network, got "
                f"{tuple(found.shape)}, {apart:.3g} away; certify the network as it is"
            )
    return True


def _check_free(graph: Path) -> None:
    """ValueError where the card, whose name nobody gave, would replace a file that is no card."""
    path = graph.with_suffix(".json")
    try:
        if path.exists():
            _card(path)
    except (RecordError, OSError):
        raise ValueError(
            f"expected {path} to be free for the card of {graph.name}, got a file of others there; "
            "give the graph another name"
        ) from None


def _read_card(file: Path) -> dict[str, Any]:
    path = file.with_suffix(".json")
    if not file.is_file() or not path.is_file():
        raise ValueError(
            f"expected {file} and its card {path}, got no such "
            f"{'card' if file.is_file() else 'file'}; of a graph of others make "
            "OnnxFunction(content), and smooth it with SmoothedClassifier.from_function"
        )
    return _card(path)


def _card(path: Path) -> dict[str, Any]:
    """What a card holds; RecordError for a file that is none."""
    try:
        card = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise RecordError(f"expected JSON in {path}, got {error}; export the model again") from None
    needed = {"noise", "num_classes", "sha256"}
    if not isinstance(card, dict) or card.get("format") != FORMAT or not needed <= set(card):
        raise RecordError(
            f"expected a card of the format {FORMAT} in {path}, got another; export it again"
        )
    return card
