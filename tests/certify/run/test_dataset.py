"""Certifying a data set: workers, ranks and resumes all end in the same record."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from rsmooth.certify import (
    CertificationLog,
    CertifySettings,
    append_samples,
    certify_dataset,
    read_log,
)
from rsmooth.certify.cohen import certify
from rsmooth.certify.run.header import is_hash_of, model_hash
from rsmooth.certify.votes import schedule as engine
from rsmooth.certify.votes.noisy import noisy_images
from rsmooth.certify.votes.pool import Slice, VotePool
from rsmooth.plumbing.errors import RecordError
from rsmooth.plumbing.files import CRASH_VARIABLE
from rsmooth.records.figures import figures_of
from rsmooth.records.log import VOTES
from rsmooth.registry import MODELS
from rsmooth.smoothed import SmoothedClassifier
from tests.certify.nets import small_net
from tests.certify.recorded import SETTINGS, exit_codes, launch, same, seven


def test_record_holds_what_certify_returns(reference: CertificationLog, tmp_path: Path) -> None:
    data = seven()
    result = certify(small_net(), data.images, index=data.index, n0=20, n=300, batch_size=100)
    assert np.array_equal(reference.predict, result.label.numpy())
    assert np.array_equal(reference.radius, result.radius.numpy())
    assert np.array_equal(reference.counts, result.counts.numpy())
    assert np.array_equal(reference.selection, result.selection.numpy())
    assert reference.idx.tolist() == data.index.tolist()
    assert (reference.time > 0).all()
    assert reference.provenance["sigma"] == 0.25
    assert reference.provenance["numerics"]["dtype"] == "float32"
    assert reference.provenance["dataset"]["shape"] == list(data.images.shape[1:])


def test_table_and_provenance_are_exported(tmp_path: Path, reference: CertificationLog) -> None:
    handed: list[dict[str, float]] = []
    log = certify_dataset(
        small_net(),
        seven(),
        tmp_path / "run",
        SETTINGS,
        workers=1,
        progress=False,
        provenance={"model": {"path": "somewhere"}, "note": "by hand"},
        on_certified=handed.append,
    )
    assert same(log, reference)
    assert handed == [figures_of(log)]
    assert (
        read_log(tmp_path / "run" / "certificates.tsv").provenance["model"]["path"] == "somewhere"
    )
    assert same(read_log(tmp_path / "run"), reference)
    with pytest.raises(ValueError, match="'sigma' again"):
        certify_dataset(small_net(), seven(), tmp_path / "other", SETTINGS, provenance={"sigma": 1})


def test_a_larger_n_keeps_the_first_votes(tmp_path: Path, reference: CertificationLog) -> None:
    """A longer run has the votes of the shorter one, and those of its further samples."""
    longer = certify_dataset(
        small_net(), seven(), tmp_path, replace(SETTINGS, n=500), workers=1, progress=False
    )
    data, noise = seven(), noisy_images("integer", 0.25, SETTINGS.seed, torch.Size((1, 4, 4)))
    pool = engine.open_pool(small_net(), noise, torch.Size((1, 4, 4)), SETTINGS, 1.0)
    rest = pool.count(
        [
            Slice("estimate", image, index, 300, 500)
            for image, index in zip(data.images, data.index.tolist(), strict=True)
        ]
    )
    assert reference.counts is not None
    assert np.array_equal(longer.counts, reference.counts + rest[:, :-1])
    assert np.array_equal(longer.selection, reference.selection)
    with pytest.raises(
        RecordError, match="got seed 0 in both runs; the same votes would count twice"
    ):
        append_samples(reference, longer, looked=False)


class TestExtension:
    """Further samples for an earlier run: of its numerics, or refused before the first vote."""

    def test_takes_over_the_numerics_and_can_be_appended(
        self, tmp_path: Path, reference: CertificationLog
    ) -> None:
        plain = CertifySettings(n0=20, n=200, seed=1)
        more = certify_dataset(
            small_net(), seven(), tmp_path, plain, workers=1, progress=False, extends=reference
        )
        assert more.provenance["numerics"] == reference.provenance["numerics"]
        assert more.provenance["numerics"]["batch"] == 32  # not what this run would have chosen
        pooled = append_samples(reference, more, looked=False)
        assert np.array_equal(pooled.counts, reference.counts + more.counts)
        assert pooled.provenance["n"] == 500
        assert same(
            certify_dataset(small_net(), seven(), tmp_path, plain, workers=1, progress=False), more
        )

    @pytest.mark.parametrize(
        ("change", "reason"),
        [
            ({}, "got seed 0 in both runs"),
            ({"seed": 1, "mode": "anytime", "tolerance": 0.1}, "got mode='anytime'"),
            ({"seed": 1, "batch_size": 64}, r"differ in numerics\.batch \(32, here 64\)"),
        ],
    )
    def test_what_could_not_be_appended_draws_no_vote(
        self,
        change: dict[str, Any],
        reason: str,
        tmp_path: Path,
        reference: CertificationLog,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(VotePool, "count", lambda self, work: pytest.fail("a vote was drawn"))
        with pytest.raises(RecordError, match=reason):
            certify_dataset(
                small_net(),
                seven(),
                tmp_path,
                replace(SETTINGS, **change),
                workers=1,
                progress=False,
                extends=reference,
            )
        assert not list(tmp_path.iterdir())


def test_finished_run_draws_no_vote_again(
    tmp_path: Path, reference: CertificationLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    certify_dataset(small_net(), seven(), tmp_path, SETTINGS, workers=1, progress=False)

    def forbidden(self: VotePool, work: list[Any]) -> Any:
        assert not work
        return np.zeros((0, 5))

    monkeypatch.setattr(VotePool, "count", forbidden)
    assert same(
        certify_dataset(small_net(), seven(), tmp_path, SETTINGS, workers=1, progress=False),
        reference,
    )


@pytest.mark.usefixtures("forked_workers")
def test_workers_and_ranks_agree_and_resume_each_other(
    tmp_path: Path, reference: CertificationLog
) -> None:
    """Three ranks, one killed in the middle of a write; then two workers finish the run."""
    ranks = [
        launch(
            tmp_path,
            RANK=str(rank),
            WORLD_SIZE="3",
            **({CRASH_VARIABLE: "mid-append:3"} if rank == 1 else {}),
        )
        for rank in range(3)
    ]
    assert exit_codes(*ranks) == [0, 137, 0]
    assert not (tmp_path / "certificates.tsv").exists()
    assert 5 <= len(read_log(tmp_path)) < 7
    assert same(
        certify_dataset(small_net(), seven(), tmp_path, SETTINGS, workers=2, progress=False),
        reference,
    )
    assert (tmp_path / "certificates.tsv").exists()
    names = {path.name for path in tmp_path.glob("certificates*.jsonl")}
    assert names == {
        "certificates.jsonl",
        *(f"certificates.rank{rank}-of-3.jsonl" for rank in range(3)),
    }


def test_every_second_image_has_the_certificate_that_it_has_among_all(
    tmp_path: Path, reference: CertificationLog
) -> None:
    log = certify_dataset(
        small_net(), seven().subset([0, 2, 4, 6]), tmp_path, SETTINGS, workers=1, progress=False
    )
    assert log.idx.tolist() == reference.idx[::2].tolist()
    assert all(
        np.array_equal(getattr(log, name), getattr(reference, name)[::2])
        for name in ("radius", *VOTES)
    )


def test_run_goes_on_with_the_numerics_of_its_record(tmp_path: Path) -> None:
    """What "auto" would choose anew does not matter once votes are there."""
    choice = CertifySettings(n0=20, n=300, batch_size=32, precision="bfloat16")
    certify_dataset(
        small_net(), seven().subset([0, 1, 2]), tmp_path, choice, workers=1, progress=False
    )
    auto = CertifySettings(n0=20, n=300)
    log = certify_dataset(
        small_net(), seven().subset([0, 1, 2]), tmp_path, auto, workers=1, progress=False
    )
    assert log.provenance["numerics"]["dtype"] == "bfloat16"
    assert log.provenance["numerics"]["batch"] == 32


def test_ranks_without_images_end_like_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = seven().subset([0, 1])
    monkeypatch.setenv("WORLD_SIZE", "3")
    found = []
    for rank in (2, 1, 0):
        monkeypatch.setenv("RANK", str(rank))
        log = certify_dataset(small_net(), data, tmp_path, SETTINGS, progress=False)
        found.append(log.idx.tolist())
        assert log.provenance["n"] == SETTINGS.n
    assert found == [[], [23], [3, 23]]


def test_numpy_values_of_provenance_are_recorded_as_numbers(tmp_path: Path) -> None:
    data, more = seven().subset([0]), {"site": {"ids": np.arange(2), "trials": np.int64(3)}}
    for _ in range(2):  # the second time it is read again
        log = certify_dataset(
            small_net(), data, tmp_path, SETTINGS, workers=1, progress=False, provenance=more
        )
        assert log.provenance["site"] == {"ids": [0, 1], "trials": 3}


def test_votes_of_networks_that_print_alike_are_not_pooled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And a record of an earlier version, whose hash left such options out, is extended."""

    def pooled(inside: bool) -> SmoothedClassifier:
        torch.manual_seed(0)
        pool = nn.AvgPool2d(3, 2, 1, count_include_pad=inside)
        net = nn.Sequential(pool, nn.Flatten(), nn.Linear(4, 2))
        return SmoothedClassifier(net.eval(), sigma=0.25, num_classes=2)

    def run(g: SmoothedClassifier, name: str, **given: Any) -> CertificationLog:
        seed = 1 if given else 0
        settings = CertifySettings(n0=10, n=100, seed=seed)
        data = replace(seven(), labels=seven().labels % 2)
        return certify_dataset(
            g, data, tmp_path / name, settings, workers=1, progress=False, **given
        )

    first = run(pooled(True), "first")
    with pytest.raises(RecordError, match=r"model\.hash"):
        run(pooled(False), "second", extends=first)
    with monkeypatch.context() as earlier:
        earlier.setattr("rsmooth.models.hashing._options", lambda base: b"")
        old = run(pooled(True), "old")
    assert old.provenance["model"]["hash"] != first.provenance["model"]["hash"]
    assert same(run(pooled(True), "old"), old)
    more = run(pooled(True), "more", extends=old)
    assert append_samples(old, more, looked=False).provenance["n"] == 200


def test_rank_out_of_range_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "2")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ValueError, match="RANK < WORLD_SIZE"):
        certify_dataset(small_net(), seven(), tmp_path, SETTINGS, progress=False)


def test_another_architecture_of_the_same_weights_is_another_model() -> None:
    g, other = small_net(), small_net()
    assert model_hash(g) == model_hash(other)
    other.base[2] = nn.GELU()
    assert model_hash(g) != model_hash(other)
    hidden = small_net()
    hidden.base[2].register_buffer("shift", torch.zeros(1), persistent=False)
    shifted = small_net()
    shifted.base[2].register_buffer("shift", torch.ones(1), persistent=False)
    assert model_hash(hidden) != model_hash(shifted)


def test_a_record_knows_its_model_whatever_release_of_torch_made_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Batch norm prints "affine=True, bias=True" in some releases, "affine=True" in others."""
    g = SmoothedClassifier(MODELS.create("resnet8"), sigma=0.25, num_classes=10)
    plain = torch.nn.BatchNorm2d.extra_repr
    hashes = []
    for written in ("affine=True", "affine=True, bias=True"):

        def printed(layer: torch.nn.BatchNorm2d, written: str = written) -> str:
            return re.sub(r"affine=True(, bias=True)?", written, plain(layer))

        monkeypatch.setattr(torch.nn.BatchNorm2d, "extra_repr", printed)
        hashes.append(model_hash(g))
        for hashed in hashes:
            assert is_hash_of(hashed, g)
    assert len({*hashes}) == 2
    monkeypatch.undo()
    assert all(is_hash_of(hashed, g) for hashed in hashes)
    other = SmoothedClassifier(MODELS.create("resnet8"), sigma=0.25, num_classes=10)
    assert not any(is_hash_of(hashed, other) for hashed in hashes)


def test_data_sets_of_others_are_certified_in_their_order(tmp_path: Path) -> None:
    """With the votes of one call of certify on the same data; the record does not name a split."""
    own = seven()
    given = TensorDataset(own.images, own.labels)
    g = small_net()
    log = certify_dataset(g, given, tmp_path / "a.jsonl", SETTINGS, workers=1, progress=False)
    assert log.provenance["dataset"]["split"] == "as given"
    assert log.provenance["dataset"]["name"] == "TensorDataset"
    direct = certify(g, given, **vars(SETTINGS))
    assert np.array_equal(log.counts, direct.counts.numpy())
    loader = DataLoader(given, batch_size=3, shuffle=True)
    again = certify_dataset(g, loader, tmp_path / "a.jsonl", SETTINGS, workers=1, progress=False)
    assert again == log or np.array_equal(again.counts, log.counts)
