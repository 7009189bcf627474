"""torch.compile: used where it works, said where it does not."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from rsmooth.defenses import Trainer
from tests.training.helpers import ATTACK, BASELINE, classifier, trained


def test_compile_sends_the_base_through_torch_compile(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled = []
    monkeypatch.setattr(torch, "compile", lambda module: compiled.append(module) or module)
    g = classifier()
    assert torch.equal(trained(Trainer(**BASELINE, compile=True), g), trained(Trainer(**BASELINE)))
    assert compiled[1:] == [g.base]  # after the trifle that is tried first


@pytest.mark.filterwarnings("default")  # of torch's own compiler and of what it imports
def test_compiled_training_gives_the_same_weights(recwarn: pytest.WarningsRecorder) -> None:
    options: dict[str, Any] = {"attack": ATTACK, "epochs": 3, "batch_size": 24, "lr": 0.05}
    before = torch._dynamo.utils.counters["stats"]["unique_graphs"]
    compiled, plain = (
        trained(Trainer(**options, compile=compile), classifier("mlp")) for compile in (True, False)
    )
    refusal = [str(each.message) for each in recwarn if "compile=True" in str(each.message)]
    if refusal:  # a compiler without Python's headers, say
        pytest.skip(refusal[0])
    # The trifle and the network.
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] >= before + 2
    assert torch.allclose(compiled, plain, atol=1e-6)


def test_without_a_compiler_training_goes_on_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: Any) -> Any:
        raise RuntimeError("no working C++ compiler\nsecond line")

    monkeypatch.setattr(torch, "compile", lambda module: broken)
    said = (
        r"compile=True needs a compiler .*none \(RuntimeError: no working C\+\+ compiler\); "
        r"training goes on without"
    )
    with pytest.warns(UserWarning, match=said):
        compiled = trained(Trainer(**BASELINE, compile=True))
    assert torch.equal(compiled, trained(Trainer(**BASELINE)))
