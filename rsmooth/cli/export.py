"""``rsmooth export``: a trained model as an ONNX graph, or as a folder for the Hub."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from rsmooth.cli.options import DataOptions, ModelOptions
from rsmooth.cli.verbs import VERBS
from rsmooth.config.images import image_shape


@VERBS.register("export", positionals=("source",))
def export(
    *, model: ModelOptions, data: DataOptions, out: Path, radii: Sequence[float] = (0.0, 0.25, 0.5)
) -> None:
    """Export a model as an ONNX graph with a card, or as a folder for the Hugging Face Hub.

    The card of a folder has the certificates of the run folder, if there are any.

    Args:
        out: a name in .onnx, beside which a card in .json is written; any other name is that of a
            folder
        radii: for the certified accuracies on the card of a folder
    """
    from rsmooth.certify.cards import certified_card
    from rsmooth.certify.run.header import is_hash_of
    from rsmooth.models.onnx_files import SUFFIX, export_onnx
    from rsmooth.records.files import log_of_run

    shape = image_shape(data.choose(model.source))
    g = model.load(shape)
    if out.suffix == SUFFIX:
        print(f"{export_onnx(g, out, shape)} with its card {out.with_suffix('.json')}")
        return
    log = log_of_run(model.source)
    # That of the other weights, last or best, says nothing of these.
    own = log is not None and is_hash_of(log.provenance.get("model", {}).get("hash"), g)
    certified = [certified_card(log, g, radii)] if log is not None and own else None
    g.save(f"{out}/", certified=certified)
    told = f"whose table is of {model.source}" if certified else "without certificates"
    print(
        f"{out} with config.json, model.safetensors and README.md, {told}; state a "
        f"license in README.md, then: hf upload USER/NAME {shlex.quote(str(out))}"
    )
