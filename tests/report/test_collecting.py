"""What a folder of published logs holds, and what of it cannot be read."""

import io
import logging
import tarfile

import pytest

from rsmooth.records.files import write_log
from rsmooth.report.collecting import FoundLog, collect
from tests.report.by_hand import HEAD, WEAK, linf_log, run_of, write_run


def add(archive, name, text):
    content = text.encode()
    member = tarfile.TarInfo(name)
    member.size = len(content)
    archive.addfile(member, io.BytesIO(content))


def test_logs_are_found_in_folders_and_archives(tmp_path, capsys):
    (tmp_path / "README.md").write_text("no log")
    (tmp_path / "cifar10").mkdir()
    (tmp_path / "cifar10" / "cohen_sigma_0.25.tsv").write_text(WEAK)
    with tarfile.open(tmp_path / "owner__repo.tar.gz", "w:gz") as archive:
        add(archive, "owner__repo/data/certify/cifar10/macer/noise_0.50_2341", WEAK)
        add(archive, "owner__repo/../../evil/noise_1.00", WEAK)
        add(archive, "owner__repo/data/broken/noise_0.25", WEAK[:-5] + "x\n")
    (tmp_path / "linf.txt").write_text("idx label predict linf_radius correct\n0 1 1 0.1 1\n")
    (tmp_path / "no.tar.gz").write_bytes(b"no archive")
    (tmp_path / "untimed.txt").write_text("idx label predict radius correct\n0 1 1 0.1 1\n")
    found = collect(tmp_path)
    assert {(log.source, log.data, log.sigma, log.method) for log in found.logs} == {
        (f"{tmp_path.name}: cifar10/cohen_sigma_0.25.tsv", "cifar10", 0.25, "cohen"),
        ("owner/repo: data/certify/cifar10/macer/noise_0.50_2341", "cifar10", 0.5, "macer"),
        ("owner/repo: ../../evil/noise_1.00", None, 1.0, "../../evil"),
        (f"{tmp_path.name}: untimed.txt", None, None, "untimed"),
    }
    reasons = {each.source: each.reason for each in found.left_out}
    assert "which are linf radii by their name" in reasons[f"{tmp_path.name}: linf.txt"]
    assert "line 5" in reasons["owner/repo: data/broken/noise_0.25"]
    assert "no archive that can be read" in reasons["no.tar.gz"]
    assert len(reasons) == 3
    assert not (tmp_path.parent / "evil").exists()
    (untimed,) = (log for log in found.logs if log.method == "untimed")
    assert any("no column time" in note for note in untimed.notes)
    assert capsys.readouterr().err == ""
    assert logging.getLogger("rsmooth.records").propagate


@pytest.mark.parametrize(
    ("path", "data", "sigma", "method"),
    [
        ("data/cifar10/noise_0.25/cat-rs/noise_0.25.tsv", "cifar10", 0.25, "cat-rs"),
        ("data/fmnist/noise_0.25/salman/noist_0.25.tsv", "fmnist", 0.25, "salman"),
        ("data/cifar100/noise_0.5/stab/noise_0.5.tsv", "cifar100", 0.5, "stab"),
        ("data/certify/cifar10/stab/lbd_2/cifar_resnet20/noise_0.5_1682", "cifar10", 0.5,
         "stab/lbd_2/cifar_resnet20"),
        ("data/certify/cifar10/smoothmix/noise_0.25_adv", "cifar10", 0.25, "smoothmix/adv"),
        ("data/imagenet/noise_1.0.tsv", "imagenet", 1.0, "home (no method in the path)"),
        ("cifar10-cpu-data/smoothadv-tiny-imagenet", "cifar10", None,
         "cifar10-cpu-data/smoothadv-tiny-imagenet"),
    ],
)  # fmt: skip
def test_paths_say_data_sigma_and_method(path, data, sigma, method):
    found = FoundLog(run_of().log, "home", path)
    assert (found.data, found.sigma, found.method) == (data, sigma, method)


def test_a_missing_folder_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such folder"):
        collect(tmp_path / "none")


def test_the_journal_of_an_archive_is_read_as_one(tmp_path):
    journal = write_run(tmp_path / "run", [900, 800]) / "certificates.jsonl"
    (tmp_path / "logs").mkdir()
    with tarfile.open(tmp_path / "logs" / "a.tar", "w") as archive:
        add(archive, "a/digits/x.jsonl", journal.read_text())
    found = collect(tmp_path / "logs")
    assert found.left_out == []
    assert found.logs[0].log.counts is not None


def test_an_exported_table_of_an_archive_keeps_what_it_states(tmp_path):
    write_log(linf_log(sound=False), tmp_path / "x.tsv")
    (tmp_path / "logs").mkdir()
    with tarfile.open(tmp_path / "logs" / "a.tar", "w") as archive:
        add(archive, "a/x.tsv", (tmp_path / "x.tsv").read_text())
        add(archive, "a/x.tsv.json", (tmp_path / "x.tsv.json").read_text())
        add(archive, "a/y", HEAD + "0\t1\t1\t0.5\t1\t1\n")  # which states nothing
    found = collect(tmp_path / "logs")
    assert [each.log.statement.sound for each in found.logs] == [False, True]
    assert found.logs[0].log.statement.norm == "linf"
    assert found.logs[1].log.provenance == {}
