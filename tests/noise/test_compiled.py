import threading

import pytest
import torch

from rsmooth.noise import GridSampler, compilation_status, derive_key, expect_noise, grid, philox
from rsmooth.noise.compiled import CompiledOnceWorthIt


@pytest.fixture
def compilations(monkeypatch):
    """Stands in for torch.compile: counts its calls and returns the function as it is."""
    calls = []
    monkeypatch.setattr(torch, "compile", lambda function, **_: calls.append(function) or function)
    return calls


def test_compiles_once_the_work_adds_up_and_not_before(compilations):
    kernel = CompiledOnceWorthIt(torch.neg, after=100, least=10)
    one = torch.ones(())
    for _ in range(50):
        assert kernel(9, one) is None  # too small to count
    assert kernel(99, one) is None
    assert (compilations, kernel.status) == ([], "uncompiled: too little work so far")
    assert kernel(10, one) == -1
    assert kernel(10, one) == -1
    assert kernel(9, one) is None
    assert (compilations, kernel.status) == ([torch.neg], "compiled")


def test_announced_work_counts(compilations):
    kernel = CompiledOnceWorthIt(torch.neg, after=100, least=10)
    kernel.expect(90)
    assert compilations == []
    assert kernel(10, torch.ones(())) == -1


def test_threads_compile_once(compilations):
    kernel = CompiledOnceWorthIt(torch.neg, after=0, least=0)
    gate, results = threading.Barrier(8), []

    def work():
        gate.wait()
        results.append(kernel(1, torch.ones(())))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [float(result) for result in results] == [-1.0] * 8
    assert len(compilations) == 1


def test_a_broken_compiler_is_recorded_and_changes_nothing(monkeypatch):
    def broken(*_):
        raise OSError("no C++ compiler\nanywhere")

    attempts = []
    monkeypatch.setattr(torch, "compile", lambda function, **_: attempts.append(function) or broken)
    key, ids = derive_key(0, "estimate"), torch.arange(3)
    expected = GridSampler(0.5).sample(key, ids, ids, (3, 5, 5))
    monkeypatch.setattr(
        philox, "compiled_pairs", CompiledOnceWorthIt(philox.pairs_torch, after=0, least=0)
    )
    monkeypatch.setattr(grid, "compiled_pairs", philox.compiled_pairs)
    for _ in range(2):
        assert torch.equal(GridSampler(0.5).sample(key, ids, ids, (3, 5, 5)), expected)
    assert compilation_status()["philox"] == "uncompiled: OSError: no C++ compiler anywhere"
    assert len(attempts) == 1


def test_a_compiler_that_gives_other_bits_is_not_used(monkeypatch):
    monkeypatch.setattr(torch, "compile", lambda function, **_: torch.abs)
    kernel = CompiledOnceWorthIt(torch.neg, after=0, least=0)
    assert [kernel(1, torch.ones(())) for _ in range(2)] == [None, None]
    said = "uncompiled: ArithmeticError: the compiled kernel gave other bits"
    assert kernel.status == said


def test_small_problems_never_compile_and_long_runs_announce_themselves(compilations, monkeypatch):
    for name, function in (("compiled_pairs", philox.pairs_torch), ("compiled_dense", grid.dense)):
        fresh = CompiledOnceWorthIt(
            function, after=philox.BLOCKS_WORTH_COMPILING, least=philox.SMALLEST_COMPILED_CALL
        )
        monkeypatch.setattr(grid, name, fresh)
    monkeypatch.setattr(philox, "compiled_pairs", grid.compiled_pairs)
    key, sampler = derive_key(0, "estimate"), GridSampler(0.5)
    small, large = torch.arange(8), torch.arange(16)
    before = sampler.sample(key, large, large, (3, 32, 32))
    assert compilations == []
    expect_noise(500 * 100_000 * 3072)  # 500 images, n = 100,000
    sampler.sample(key, small, small, (3, 32, 32))
    assert compilations == []
    assert torch.equal(sampler.sample(key, large, large, (3, 32, 32)), before)
    assert compilations == [philox.pairs_torch]
    assert compilation_status() == {
        "philox": "compiled",
        "grid": "uncompiled: too little work so far",
    }
