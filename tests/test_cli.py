"""The command line end to end on the embedded digits, in this process, with sizes that take seconds."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

from rsmooth.cli import main
from rsmooth.cli.argv import expand
from rsmooth.cli.main import VERBS, build_parser

TINY = ["--model", "small-cnn", "--model.width", "4", "--trainer", "smoothadv", "--trainer.epochs", "1",
        "--trainer.num_noise", "2", "--trainer.precision", "float32", "--attack", "smoothadv-pgd",
        "--attack.epsilon", "64/255", "--attack.steps", "1", "--progress", "false"]
CERTIFY = ["--max", "5", "--n", "100", "--n0", "20", "--workers", "1", "--progress", "false"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained and certified run folder."""
    folder = tmp_path_factory.mktemp("cli") / "run"
    assert main(["train", str(folder), "--sigma", "1/4", *TINY]) == 0
    assert main(["certify", str(folder), *CERTIFY]) == 0
    return folder


def error_of(capsys: pytest.CaptureFixture[str], *argv: str) -> str:
    """The one line that a failing command prints."""
    capsys.readouterr()
    assert main(list(argv)) == 2
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1
    assert "Traceback" not in captured.err
    return captured.err


def test_training_leaves_a_complete_run_folder(run: Path) -> None:
    assert {"config.yaml", "metrics.jsonl", "checkpoint.pt", "model.pt", "best.pt"} <= {p.name for p in run.iterdir()}
    config = yaml.safe_load((run / "config.yaml").read_text())
    assert config["sigma"] == 0.25
    assert config["attack"] == {"name": "smoothadv-pgd", "epsilon": "64/255", "steps": 1}


def test_certification_resumes_and_writes_the_published_table(run: Path) -> None:
    journal = (run / "certificates.jsonl").read_bytes()
    assert main(["certify", str(run), *CERTIFY]) == 0
    assert (run / "certificates.jsonl").read_bytes() == journal
    assert (run / "certificates.tsv").read_text().split("\n")[0].split() == [
        "idx", "label", "predict", "radius", "correct", "time"]


def test_an_audit_attacks_the_certified_images(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--steps", "2", "--num_noise", "2", "--n", "50", "--factors", "[0.5, 3]", "--progress", "false"]
    assert main(["audit", str(run), "--max", "2", *options]) == 0
    assert "contradicted certificates: 0" in capsys.readouterr().out
    record = json.loads((run / "audit.json").read_text())
    assert np.shape(record["distance"]) == (len(record["idx"]), 2)
    assert 1 <= len(record["idx"]) <= 2
    assert (run / "audit-gap.png").exists()


def test_modes_of_certification_reach_the_record(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "grid.jsonl"
    assert main(["certify", str(run), *CERTIFY, "--mode", "grid", "--radii", "0.1,64/255", "--precision", "float32",
                 "--noise", "float", "--target", "label", "--out", str(out)]) == 0
    header = json.loads(out.read_text().split("\n")[0])["data"]
    assert (header["mode"], header["mode_options"]) == ("grid", {"radii": [0.1, 64 / 255]})
    assert (header["target"], header["noise"]["kind"], header["numerics"]["dtype"]) == ("label", "float", "float32")


def test_attack_prints_and_keeps_an_accuracy_for_each_epsilon(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["attack", str(run), "--max", "12", "--n", "100", "--num_noise", "2", "--epsilons", "0,2",
                 "--attack.steps", "2", "--progress", "false"]) == 0
    kept = json.loads((run / "attack.json").read_text())
    assert [row["epsilon"] for row in kept["rows"]] == [0.0, 2.0]
    assert kept["rows"][1]["accuracy"] <= kept["rows"][0]["accuracy"]
    assert kept["attack"]["steps"] == 2
    assert len(capsys.readouterr().out.strip().split("\n")) == 3


def test_predictions_of_files_and_of_the_data_set_agree(run: Path, tmp_path: Path,
                                                        capsys: pytest.CaptureFixture[str]) -> None:
    from PIL import Image

    from rsmooth.data import load_dataset

    test = load_dataset("digits").test
    assert test is not None
    images = test.images[:3].permute(0, 2, 3, 1).numpy()
    np.savez(tmp_path / "three.npz", images=images)
    Image.fromarray(images[0, ..., 0]).save(tmp_path / "one.png")
    capsys.readouterr()
    assert main(["predict", str(run), str(tmp_path / "three.npz"), str(tmp_path / "one.png"), "--n", "200"]) == 0
    rows = [line.split(",") for line in capsys.readouterr().out.strip().split("\n")]
    assert rows[0] == ["image", "prediction", "p_value"]
    assert len(rows) == 5
    assert rows[1][1:] == rows[4][1:], "expected one image to have one answer, wherever it stands in the command"
    assert main(["predict", str(run), "--max", "2", "--n", "200", "--out", str(tmp_path / "p.csv")]) == 0
    assert (tmp_path / "p.csv").read_text().split("\n")[0].strip() == "image,prediction,p_value,label"


def test_report_sets_runs_and_published_logs_side_by_side(run: Path, tmp_path: Path,
                                                          capsys: pytest.CaptureFixture[str]) -> None:
    published = tmp_path / "sigma_0.25"
    published.write_text("idx\tlabel\tpredict\tradius\tcorrect\ttime\n0\t1\t1\t0.457\t1\t0:00:14.172309\n"
                         "20\t2\t-1\t0.0\t0\t0:00:15\n")
    assert main(["report", str(run), str(published), "--radii", "0.25,0.5", "--out", str(tmp_path / "report")]) == 0
    printed = capsys.readouterr().out
    assert "| sigma_0.25 |" in printed
    assert "| r=0.25 | r=0.5 |" in printed
    assert {"report.md", "report.csv", "curves.png"} <= {p.name for p in (tmp_path / "report").iterdir()}


def test_a_yaml_file_says_the_same_as_options(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    argv = ["train", str(tmp_path / "run"), "--sigma", "1/4", *TINY]
    with pytest.raises(SystemExit):
        main([*argv, "--print_config"])
    printed = capsys.readouterr().out
    (tmp_path / "run.yaml").write_text(printed)
    with pytest.raises(SystemExit):
        main(["train", "--config", str(tmp_path / "run.yaml"), "--print_config"])
    assert capsys.readouterr().out == printed
    assert yaml.safe_load(printed)["trainer"] == {"name": "smoothadv", "epochs": 1, "num_noise": 2,
                                                  "precision": "float32"}


def test_an_option_overrides_one_key_of_the_yaml_file(tmp_path: Path) -> None:
    (tmp_path / "run.yaml").write_text("run: a\nsigma: 64/255\ntrainer: {name: smoothadv, epochs: 3}\n")
    parsed = build_parser().parse_args(["train", "--config", str(tmp_path / "run.yaml"), "--trainer.epochs", "5"])
    assert parsed.train.trainer == {"name": "smoothadv", "epochs": 5}
    assert parsed.train.sigma == 64 / 255


@pytest.mark.parametrize("verb", list(VERBS))
def test_every_option_of_every_verb_is_described(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main([verb, "--help"])
    assert capsys.readouterr().out
    action = build_parser()._subcommands_action._name_parser_map[verb]
    undescribed = [a.dest for a in action._actions if not a.help and a.dest not in ("help", "config", "print_config")]
    assert undescribed == []


def test_short_forms_are_written_out() -> None:
    assert expand(["certify", "runs/a", "--dataset", "digits"]) == [
        "certify", "--source", "runs/a", "--dataset.name", "digits"]
    assert expand(["report", "a", "b", "--out", "c"]) == ["report", "--logs", '["a", "b"]', "--out", "c"]
    assert expand(["train", "--trainer={name: x}", "--attack=pgd"]) == [
        "train", "--trainer={name: x}", "--attack.name=pgd"]


class TestErrors:
    """What went wrong is one line on stderr and exit status 2."""

    def test_another_configuration_of_a_run_folder(self, run: Path, capsys: pytest.CaptureFixture[str]) -> None:
        text = error_of(capsys, "train", str(run), "--sigma", "0.5", *TINY)
        assert "sigma = 0.5 where it has 0.25" in text

    def test_unknown_names_and_options_come_with_the_close_matches(self, tmp_path: Path,
                                                                   capsys: pytest.CaptureFixture[str]) -> None:
        new = str(tmp_path / "new")
        assert "'smoothadv'" in error_of(capsys, "train", new, "--sigma", "1", "--trainer", "smothadv")
        text = error_of(capsys, "train", new, "--sigma", "1", "--trainer", "gaussian", "--trainer.epoch", "3")
        assert "did you mean epochs" in text
        assert not (tmp_path / "new").exists()  # a mistake leaves no folder that refuses the corrected command

    def test_wrong_types_name_the_option(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        text = error_of(capsys, "train", str(tmp_path / "new"), "--sigma", "1", "--model", "small-cnn",
                        "--model.width", "many")
        assert "option width: expected int, got 'many'" in text

    def test_missing_models_and_data(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert "expected a data set, got none" in error_of(capsys, "certify", str(tmp_path))
        assert "run rsmooth train first" in error_of(capsys, "certify", str(tmp_path), "--dataset", "digits")
        assert "--sigma and --normalize" in error_of(capsys, "certify", "--checkpoint", "x.pth.tar", "--dataset",
                                                     "digits", "--out", str(tmp_path / "x.jsonl"))
        assert "RSMOOTH_NOWHERE" in error_of(capsys, "certify", str(tmp_path), "--dataset", "npz", "--dataset.path",
                                             "$RSMOOTH_NOWHERE")

    def test_images_and_samples_that_cannot_be(self, run: Path, tmp_path: Path,
                                               capsys: pytest.CaptureFixture[str]) -> None:
        out = str(tmp_path / "x.jsonl")
        assert "which it lacks" in error_of(capsys, "certify", str(run), "--images", "[5]", "--out", out)
        assert "expected n >= 11 at alpha=0.001" in error_of(capsys, "certify", str(run), "--n", "5", "--out", out)
        assert "got epsilon within it" in error_of(capsys, "attack", str(run), "--attack.epsilon", "1")

    def test_a_traceback_on_request(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("RSMOOTH_DEBUG", "1")
        with pytest.raises(ValueError, match="expected a data set"):
            main(["certify", str(tmp_path)])

    def test_the_parser_refuses_what_is_no_number(self, capsys: pytest.CaptureFixture[str]) -> None:
        with pytest.raises(SystemExit, match="2"):
            main(["train", "x", "--sigma", "a/b"])
        assert "expected a number such as 0.25 or 64/255, got 'a/b'" in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["attacks", "trainers", "objectives", "models", "datasets"])
def test_list_names_every_entry_with_a_line_of_help(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    from rsmooth import registry

    assert main(["list", kind]) == 0
    lines = capsys.readouterr().out.strip().split("\n")[1:]
    assert [line.split()[0] for line in lines] == getattr(registry, kind.upper()).names()
    assert all(len(line.split()) > 3 for line in lines)


def test_list_shows_the_options_of_an_entry(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "trainers", "smoothadv"]) == 0
    assert "num_noise" in capsys.readouterr().out


def test_the_parser_is_built_without_torch() -> None:
    """Help must answer at once; what the package's own __init__ loads is not the command line's doing."""
    code = ("import sys, types; package = types.ModuleType('rsmooth'); package.__path__ = [sys.argv[1]]; "
            "sys.modules['rsmooth'] = package; from rsmooth.cli.main import build_parser; build_parser(); "
            "print([m for m in ('torch', 'scipy', 'foolbox', 'matplotlib') if m in sys.modules])")
    package = Path(__file__).parent.parent / "rsmooth"
    done = subprocess.run([sys.executable, "-c", code, str(package)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


class TestOddInput:
    """What a stranger mistypes: one line that says what to do, before any work, and nothing written."""

    @pytest.mark.parametrize(("argv", "said"), [
        (["tran", "x"], "did you mean train"),
        (["train", "x"], "expected sigma, got none"),
        (["train", "x", "--sigma", "1", "--trainr", "gaussian"], "did you mean --trainer"),
        (["train", "x", "--sigma", "1", "--progress", "maybe"], "--progress: expected true or false, got 'maybe'"),
        (["train", "x", "--sigma", "1", "--seed", "1.5"], "option --seed: expected a whole number, got '1.5'"),
        (["train", "x", "y", "--sigma", "1"], "expected no further argument, got 'y'"),
        (["report", "x", "--radii", "0.1,y"], "option --radii: expected a number such as 0.25 or 64/255, got 'y'"),
        (["certify", "x", "--images", "1,y"], "option --images: expected whole numbers such as 3,5,8, got '1,y'"),
    ])
    def test_the_parser_says_it_in_one_line(self, argv: list[str], said: str,
                                            capsys: pytest.CaptureFixture[str]) -> None:
        with pytest.raises(SystemExit, match="2"):
            main(argv)
        text = capsys.readouterr().err
        assert said in text
        assert text.count("\n") == 1

    @pytest.mark.parametrize(("options", "said"), [
        (["--sigma", "0"], "expected a finite sigma > 0"),
        (["--sigma", "1", "--trainer.epocs", "3"], "did you mean epochs"),  # of the default trainer
        (["--sigma", "1", "--trainer", "smoothadv", "--attack", "pgd"], "'pgd' to be given epsilon and steps"),
        (["--sigma", "1", "--trainer", "smoothadv", "--trainer.attack", "pgd"], "expected an attack such as"),
        (["--sigma", "1", "--model", "small-cnn", "--model.in_channels", "3"], "expected a model for images (1, 8, 8)"),
        (["--sigma", "1", "--model", "small-cnn", "--model.num_classes", "5"], "expected logits (N, 10)"),
        (["--sigma", "1", "--soft_labels", "true"], "expected unlabelled images and a teacher together"),
    ])
    def test_training_that_cannot_be_leaves_no_folder(self, options: list[str], said: str, tmp_path: Path,
                                                      capsys: pytest.CaptureFixture[str]) -> None:
        assert said in error_of(capsys, "train", str(tmp_path / "new"), *options)
        assert not (tmp_path / "new").exists()

    def test_a_folder_of_other_things_is_left_alone(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        (tmp_path / "model.pt").write_text("mine")
        assert "nothing there is overwritten" in error_of(capsys, "train", str(tmp_path), "--sigma", "1", *TINY)
        assert "which is a file" in error_of(capsys, "train", str(tmp_path / "model.pt"), "--sigma", "1", *TINY)
        assert (tmp_path / "model.pt").read_text() == "mine"

    def test_two_processes_do_not_train_into_one_folder(self, run: Path, capsys: pytest.CaptureFixture[str],
                                                        monkeypatch: pytest.MonkeyPatch) -> None:
        from rsmooth.defenses import engine
        from rsmooth.locking import FileLock

        monkeypatch.setattr(engine, "PATIENCE_SECONDS", 0.0)
        with FileLock(run / "checkpoint.pt"):
            assert "only writer" in error_of(capsys, "train", str(run), "--sigma", "1/4", *TINY)

    @pytest.mark.parametrize(("options", "said"), [
        (["--epsilons", "-1"], "none below 0"),
        (["--epsilons", ""], "at least one epsilon"),
        (["--batch_size", "-1"], "batch_size of at least 1"),
        (["--n", "2"], "expected n >= 11"),
        (["--out", "no/such/folder/a.json"], "make the folder first"),
        (["--attack", "foolbox", "--attack.attack", "L2PGD", "--attack.options.step", "2"], "options of L2PGD"),
    ])
    def test_an_attack_is_refused_before_any_work(self, run: Path, options: list[str], said: str,
                                                  capsys: pytest.CaptureFixture[str]) -> None:
        assert said in error_of(capsys, "attack", str(run), "--progress", "false", *options)

    def test_every_attack_of_another_name_can_be_used(self, run: Path, tmp_path: Path) -> None:
        few = ["--max", "2", "--n", "100", "--epsilons", "0.5", "--num_noise", "2", "--progress", "false"]
        for name, options in (("smoothadv-ddn", ["--attack.steps", "2"]),
                              ("foolbox", ["--attack.attack", "L2PGD", "--attack.options.steps", "2"])):
            out = tmp_path / f"{name}.json"
            assert main(["attack", str(run), *few, "--attack", name, *options, "--out", str(out)]) == 0
            assert json.loads(out.read_text())["attack"]["name"] == name

    def test_lists_are_written_with_commas(self, run: Path, tmp_path: Path) -> None:
        out = tmp_path / "two.jsonl"
        assert main(["certify", str(run), "--n", "100", "--images", "1297,1299", "--progress", "false", "--out",
                     str(out)]) == 0
        assert main(["report", str(run), str(out), "--names", "all,two"]) == 0

    @pytest.mark.parametrize(("images", "said"), [("[]", "at least one image"), ("1297,1297", "each once")])
    def test_images_that_repeat_or_are_none(self, run: Path, images: str, said: str, tmp_path: Path,
                                            capsys: pytest.CaptureFixture[str]) -> None:
        assert said in error_of(capsys, "certify", str(run), "--images", images, "--out", str(tmp_path / "x.jsonl"))

    def test_damaged_configurations(self, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        (tmp_path / "model.pt").write_bytes((run / "model.pt").read_bytes())
        for content, said in (("a: [1\n", "expected YAML in"), ("sigma: 1\n", "expected the key dataset"),
                              ("- a\n", "expected a mapping")):
            (tmp_path / "config.yaml").write_text(content)
            assert said in error_of(capsys, "certify", str(tmp_path), "--n", "100")

    def test_a_plan_of_sequential_modes_needs_votes(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert "expected --log beside" in error_of(capsys, "plan", "--sigma", "1", "--radii", "0.5")


def test_a_name_and_a_mapping_of_it_are_the_same_configuration() -> None:
    from rsmooth.cli.runs import differences

    old = {"dataset": "digits", "trainer": {"name": "gaussian"}}
    assert differences(old, {"dataset": {"name": "digits"}, "trainer": "gaussian"}) == []
    assert differences(old, {"dataset": {"name": "digits", "seed": 1}, "trainer": "smoothadv"}) == [
        "dataset.seed = 1 where it has None", "trainer.name = 'smoothadv' where it has 'gaussian'"]


class TestPictures:
    """What ``predict`` makes of image files."""

    def picture(self, folder: Path, mode: str) -> str:
        from PIL import Image

        image = Image.fromarray(np.arange(192, dtype=np.uint8).reshape(8, 8, 3))
        path = folder / f"{mode}.png"
        (image.quantize(16) if mode == "P" else image.convert(mode)).save(path)
        return str(path)

    @pytest.mark.parametrize(("mode", "said"), [("RGBA", "of mode RGBA"), ("1", "of mode 1"),
                                                ("RGB", "expected a model for images"),
                                                ("P", "expected a model for images")])  # not its palette's numbers
    def test_a_picture_of_another_kind_is_refused(self, run: Path, tmp_path: Path, mode: str, said: str,
                                                  capsys: pytest.CaptureFixture[str]) -> None:
        assert said in error_of(capsys, "predict", str(run), self.picture(tmp_path, mode))

    def test_files_that_are_no_images(self, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        (tmp_path / "bad.png").write_text("nope")
        np.savez(tmp_path / "objects.npz", images=np.array([{}], dtype=object))
        np.savez(tmp_path / "empty.npz", images=np.zeros((0, 8, 8), np.uint8))
        for name, said in (("bad.png", "cannot be read"), ("", "which is a folder"), ("objects.npz", "array of images"),
                           ("empty.npz", "(0, 8, 8, 1)")):
            assert said in error_of(capsys, "predict", str(run), str(tmp_path / name))
        grey = self.picture(tmp_path, "L")
        assert "got both" in error_of(capsys, "predict", str(run), grey, "--max", "3")


def test_a_published_checkpoint_from_file_to_certificates(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Keys of either wrapper; the file, not the few images' labels, says how many classes there are."""
    import torch

    from rsmooth import MODELS

    torch.manual_seed(0)
    weights = MODELS.create("resnet20", num_classes=10, normalize="cifar10")[1].state_dict()
    images = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), dtype=np.uint8)
    np.savez(tmp_path / "few.npz", x_test=images, y_test=np.array([3, 1, 2]))
    np.savez(tmp_path / "many.npz", x_test=images, y_test=np.array([3, 1, 20]))
    certified = []
    for prefix in ("1.", "1.module."):
        path = tmp_path / f"{prefix}pth.tar"
        torch.save({"epoch": 90, "arch": "cifar_resnet20", "optimizer": {},
                    "state_dict": {prefix + name: tensor for name, tensor in weights.items()}}, path)
        argv = ["certify", "--checkpoint", str(path), "--normalize", "cifar10", "--sigma", "0.25", "--n", "20",
                "--n0", "5", "--precision", "float32", "--out", str(tmp_path / f"{prefix}jsonl"), "--progress", "false"]
        assert main([*argv, "--dataset", "npz", "--dataset.path", str(tmp_path / "few.npz")]) == 0
        certified.append([line.split("\t")[:5] for line in (tmp_path / f"{prefix}tsv").read_text().split("\n")[1:-1]])
    assert certified[0] == certified[1]
    assert "labels within 0..9" in error_of(capsys, *argv, "--dataset", "npz", "--dataset.path",
                                            str(tmp_path / "many.npz"))
    assert "expected images of 3 channels" in error_of(capsys, *argv, "--dataset", "digits")


def test_training_goes_on_from_a_model_and_from_a_teacher(run: Path, tmp_path: Path,
                                                          capsys: pytest.CaptureFixture[str]) -> None:
    import torch

    brief = ["--trainer.epochs", "1", "--trainer.precision", "float32", "--progress", "false"]
    tuned, taught = tmp_path / "tuned", tmp_path / "taught"
    assert main(["train", str(tuned), "--sigma", "0.5", "--init_from", str(run), *brief, "--trainer.lr", "1e-9"]) == 0
    before, after = (torch.load(path / "model.pt", weights_only=True) for path in (run, tuned))
    names = list(before["state_dict"])
    assert torch.allclose(before["state_dict"][names[0]], after["state_dict"][names[0]], atol=1e-6)
    assert not torch.allclose(before["state_dict"][names[-1]], after["state_dict"][names[-1]], atol=1e-3)
    assert after["sigma"] == 0.5
    teacher = ["--unlabelled", "digits", "--unlabelled.validation", "0.5", "--teacher", str(run), "--soft_labels",
               "true", "--confidence", "0.1", "--unlabelled_weight", "0.5"]
    capsys.readouterr()
    assert main(["train", str(taught), "--sigma", "0.25", *brief, *teacher]) == 0
    assert f"trained {taught}: accuracy under noise" in capsys.readouterr().out
    epoch = json.loads((taught / "metrics.jsonl").read_text())
    alone = json.loads((tuned / "metrics.jsonl").read_text())
    assert epoch["steps"] == 2 * alone["steps"]  # every labelled batch is followed by one of the teacher's
    assert main(["certify", str(taught), *CERTIFY]) == 0
    teacher[-1] = "0.25"
    assert "unlabelled_weight = 0.25 where it has 0.5" in error_of(capsys, "train", str(taught), "--sigma", "0.25",
                                                                   *brief, *teacher)
