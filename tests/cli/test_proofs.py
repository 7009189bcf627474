"""``rsmooth certify --norm linf``: networks without noise, and what is refused."""

import json

import pytest
import torch

from rsmooth.cli import main
from rsmooth.records.files import read_log
from rsmooth.records.journal import config_hash
from rsmooth.registry import MODELS
from rsmooth.smoothed import SmoothedClassifier
from tests.cli.helpers import error_of

LINF = ["--dataset", "digits", "--max", "5", "--progress", "false", "--norm", "linf"]
RADII = ["--epsilons", "1/255,8/255"]


def saved(path, sigma):
    torch.manual_seed(0)
    base = MODELS.create("mlp", num_classes=10, image_size=8, hidden=[16])
    SmoothedClassifier(base, sigma=sigma, num_classes=10).save(path)
    return str(path)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return saved(tmp_path_factory.mktemp("plain") / "model.pt", 0.0)


def test_certificates_are_proved_recorded_and_resumed(model, tmp_path, capsys):
    out = tmp_path / "proofs.jsonl"
    command = ["certify", model, *LINF, *RADII, "--out", str(out)]
    assert main(command) == 0
    printed = capsys.readouterr().out
    assert "5 images certified" in printed
    assert "% at 1/255" in printed
    assert "% at 8/255, by ibp, crown-ibp, fast-lin; see rsmooth report" in printed
    log = read_log(out)
    assert log.statement.group == ("linf", "deterministic")
    assert set(log.radius.tolist()) <= {0.0, 1 / 255, 8 / 255}
    assert log.provenance["epsilons"] == [1 / 255, 8 / 255]
    before = out.read_bytes()
    assert main(command) == 0
    assert out.read_bytes() == before


def test_bounds_and_clipping_reach_the_record(model, tmp_path):
    out = tmp_path / "proofs.jsonl"
    options = ["--bounds", "ibp,crown", "--clip", "false", "--out", str(out)]
    assert main(["certify", model, *LINF, *RADII, *options]) == 0
    header = json.loads(out.read_text().splitlines()[0])["data"]
    assert (header["bounds"], header["clip"]) == (["ibp", "crown"], None)


REFUSED = {
    "epsilon-0": (["--epsilons", "0,1/255"], "each finite and > 0"),
    "epsilon-negative": (["--epsilons=-1/255"], "each finite and > 0"),
    "no-epsilons": ([], "expected --norm linf and --epsilons beside each other"),
    "method": ([*RADII, "--bounds", "ibp,deept"], "bounds among ibp, crown-ibp"),
    "votes": ([*RADII, "--n", "1000"], "expected no --n beside --norm linf"),
    "mode": ([*RADII, "--mode", "grid", "--seed", "1"], "no --seed and no --mode"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_unfit_options_are_refused(name, model, tmp_path, capsys):
    options, message = REFUSED[name]
    out = tmp_path / "proofs.jsonl"
    error = error_of(capsys, "certify", model, *LINF, *options, "--out", str(out))
    assert message in error
    assert not out.exists()


def test_another_norm_is_refused(model, tmp_path, capsys):
    options = [*LINF[:-1], "l2", *RADII, "--out", str(tmp_path / "proofs.jsonl")]
    assert "expected --norm linf, got l2" in error_of(capsys, "certify", model, *options)


def test_a_smoothing_run_has_no_deterministic_bounds(tmp_path, capsys):
    model, out = saved(tmp_path / "noisy.pt", 0.25), str(tmp_path / "proofs.jsonl")
    error = error_of(capsys, "certify", model, *LINF, *RADII, "--out", out)
    assert "expected a classifier without noise for deterministic bounds" in error


def test_a_network_without_noise_is_sent_to_its_bounds(model, tmp_path, capsys):
    out = str(tmp_path / "votes.jsonl")
    error = error_of(capsys, "certify", model, *LINF[:-2], "--out", out)
    assert "expected --norm linf and --epsilons for a classifier without noise" in error


def test_ensembles_are_certified_and_audited_by_their_rule(tmp_path, capsys):
    for number in (0, 1, 2):
        (tmp_path / f"{number}").mkdir()
        torch.manual_seed(number)
        base = MODELS.create("mlp", num_classes=10, image_size=8, hidden=[8])
        g = SmoothedClassifier(base, sigma=0, num_classes=10)
        g.save(tmp_path / f"{number}" / "model.pt")
    first, *others = (str(tmp_path / f"{number}") for number in (0, 1, 2))
    joined = ["--ensemble", ",".join(others)]
    for rule in ("voting", "mean", "cascade", "published-cascade-not-sound"):
        out = tmp_path / f"{rule}.jsonl"
        options = [*joined, "--rule", rule, "--out", str(out)]
        assert main(["certify", first, *LINF, *RADII, *options]) == 0
        assert ("NOT SOUND" in capsys.readouterr().out) == ("not-sound" in rule)
        log = read_log(out)
        assert log.statement.sound == ("not-sound" not in rule)
        assert len(log.provenance["model"]["members"]) == 3
        options = ["--dataset", "digits", "--steps", "2", "--progress", "false", "--log", str(out)]
        assert main(["audit", first, *options, *joined, "--rule", rule]) == 0
        capsys.readouterr()
        found = json.loads((tmp_path / f"{rule}.audit.json").read_text())
        assert found["config"] == config_hash(log.provenance)
    error = error_of(capsys, "audit", first, *options)
    assert "by the rule published-cascade-not-sound, got others; name the further ones" in error
    other = error_of(capsys, "audit", first, *options, *joined, "--rule", "mean")
    assert other == error
    error = error_of(capsys, "certify", first, *LINF, *RADII, *joined)
    assert "expected --ensemble and --rule beside each other" in error
