"""What a user can do wrong: one sentence on stderr, exit code 2, nothing written and nothing deleted."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from PIL import Image

from experiments import workdir
from gdl_jax.errors import UsageError
from gdl_jax.training import loop

ROOT = Path(__file__).parents[2]

TRAIN = ["dcgan", "--preset", "smoke", "--workdir", "new"]


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder to stand in, with a file, a folder that holds no run, and images that are none."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "no_tfds"))
    Path("file").write_text("x")
    Path("some").mkdir()
    Path("some/precious").write_text("x")
    Path("broken").mkdir()
    Path("broken/a.png").write_bytes(b"no picture")
    Path("uneven").mkdir()
    for i in range(12):
        Image.new("L", (12 + i % 2 * 4,) * 2).save(f"uneven/{i}.png")
    return tmp_path


NAMES = [
    (["dcgna"], "no experiment 'dcgna': did you mean 'dcgan'?"),
    (["samlpe", "some"], "did you mean 'sample'?"),
    (["xyzzy"], "expected one of: "),
    (["experiments.families.gans:DCGNA"], "did you mean 'DCGAN'?"),
    (["no_such_module:Mine"], "'no_such_module'"),
    (["json:Mine"], "json has no experiment 'Mine'"),
    (["gan", "--loss", "wgan"], "--loss is 'wgan': write --loss wasserstein. See"),
    (["gan", "--loss", "WGAN_GP"], "write --loss wasserstein --penalty gradient. See"),
    (["gan", "--penalty", "xyzzy"], "--penalty is 'xyzzy': expected one of: dragan, gradient, none,"),
    (["dcgan", "--preset", "smok"], "no preset 'smok': did you mean 'smoke'?"),
    (["dcgan", "--preset=xyzzy"], "lanham_upsampling"),
    (["dcgan", "--preset"], "preset"),
    (["experiments.registry:Experiment"], "Experiment"),
    ([":Mine"], "':Mine'"),
    ([".mine:Mine"], "'.mine"),
]

SETTINGS = [
    (["--stepz", "3"], "--stepz: did you mean '--steps'?"),
    (["--batch_sizes", "3"], "did you mean '--batch-size'?"),
    (["--data.nmae", "digits"], "did you mean '--data.name'?"),
    (["--optimizer.learning-rat", "1"], "did you mean '--optimizer.learning-rate'?"),
    (["--steps", "many"], "error: --steps is 'many'; it has to be a whole number. See"),
    (["--steps", "1.5"], "--steps is '1.5'; it has to be a whole number."),
    (["--steps"], "error: --steps needs a value."),
    (["--optimizer.learning-rate", "fast"], "--optimizer.learning-rate is 'fast'; it has to be a number."),
    (["--optimizer.learning-rate", "-1"], "error: --optimizer.learning-rate is -1.0; it has to be above 0."),
    (["--optimizer.warmup-steps", "3", "--optimizer.linear-steps", "2"], "the 3 of --optimizer.warmup-steps"),
    (["--data.size", "large"], "--data.size is 'large'; it has to be a whole number or None."),
    (["--dtype", "float16"], "--dtype is 'float16': did you mean 'bfloat16'?"),
    (["--architecture", "smal"], "did you mean 'small'?"),
    (["--tensorboard", "maybe"], "--tensorboard is 'maybe'; it has to be true or false."),
    (["stray"], "'stray' is not expected"),
    (["--steps", "0"], "--steps is 0; it has to be 1 or more"),
    (["--seed", "-1"], "--seed is -1; it has to be from 0 to 4294967295"),
    (["--keep-checkpoints", "0"], "--keep-checkpoints"),
    (["--steps", "20", "--steps-per-call", "3"], "set --steps to 21"),
    (["--batch-size", "12"], "12 cannot be split evenly over 8 devices; set --batch-size to 8 or 16"),
    (["--batch-size", "4"], "set --batch-size to 8."),
    (["--process-id", "1"], "--distributed"),
    (["--distributed", "--process-id", "1"], "all three"),
    (["--distributed", "--coordinator", "x:1", "--num-processes", "2", "--process-id", "2"], "2 of --num-processes"),
    (["--batch-size", "8000"], "between 1 and 1501"),
    (["--seed", str(2**70)], "--seed"),
    (["--width", "0"], "--width"),
    (["--evaluate-samples", "-1"], "--evaluate-samples is -1; it has to be 0 or more"),
    (["--latent-size", "-4"], "--latent-size"),
    (["--data.size", "1000000000"], "--data.size"),
]

DATA = [
    (["--data.name", "mnits"], "no data set 'mnits': did you mean 'mnist'?"),
    (["--data.name", "mnist"], "tfds build mnist"),
    (["--data.name", "folder"], "--data.dir is missing"),
    (["--data.name", "folder", "--data.dir", "nowhere"], "nowhere, which is no folder"),
    (["--data.name", "folder", "--data.dir", "file"], "file, which is no folder"),
    (["--data.name", "folder", "--data.dir", "some"], "no usable image"),
    (["--data.name", "folder", "--data.dir", "broken"], "no usable image"),
    (["--data.name", "folder", "--data.dir", "uneven"], "--data.size"),
    (["--data.size", "18"], "set --data.size to 16"),
    (["--data.size", "0"], "--data.size is 0"),
    (["--data.num-examples", "0"], "error: --data.num-examples is 0"),
    (["--data.crop", "4"], "--data.crop"),
    (["--data.classes", "3", "eight"], "--data.classes: there is no class 'eight', expected one of: 0, 1,"),
    (["--data.name", "noise", "--data.classes", "0"], "'noise' have no labels: leave --data.classes out"),
]


@pytest.mark.parametrize(("words", "fragment"), NAMES)
def test_names(launch, says, place, snapshot, words, fragment):
    before = snapshot(place)
    says(launch(*words), fragment)
    assert snapshot(place) == before


@pytest.mark.parametrize(("words", "fragment"), SETTINGS + DATA)
def test_settings_and_data(launch, says, place, snapshot, words, fragment):
    before = snapshot(place)
    says(launch(*TRAIN, *words), fragment)
    assert snapshot(place) == before


@pytest.mark.parametrize("words", [["--batch-size", "12"], ["--batch-size", "8000"], ["--data.size", "18"]])
def test_a_dry_run_tells_mistakes_too(launch, says, place, snapshot, words):
    before = snapshot(place)
    says(launch(*TRAIN, "--dry-run", *words), words[0])
    assert snapshot(place) == before


@pytest.mark.parametrize(
    ("workdir", "fragment"),
    [
        ("file", "file exists and holds no run"),
        ("some", "some exists and holds no run"),
        ("file/below", "file/below cannot be written"),
        ("/dev/null/below", "/dev/null/below cannot be written"),
        ("/proc/below", "/proc/below cannot be written"),
    ],
)
def test_workdir_that_cannot_be_one(launch, says, place, snapshot, workdir, fragment):
    before = snapshot(place)
    for restart in ([], ["--restart"]):
        says(launch("dcgan", "--preset", "smoke", "--workdir", workdir, *restart), fragment)
    assert snapshot(place) == before


def test_a_run_without_room_leaves_no_folder(launch, says, place, snapshot):
    before = snapshot(place)
    says(launch(*TRAIN, "--latent-size", 99_999_999_999), "MiB of free disk")
    assert snapshot(place) == before


def test_what_a_restart_frees_counts_as_room(copied, monkeypatch):
    size = workdir.size(copied)
    assert size > sum(path.stat().st_size for path in (copied / "samples").iterdir())
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(total=10**12, free=0))
    monkeypatch.setattr(loop, "disk_bytes", lambda carry, settings: size)
    loop.check_disk(copied, None, None, freed=size)
    with pytest.raises(UsageError, match="0 MiB of free disk"):
        loop.check_disk(copied, None, None)


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes where it is not allowed to")
def test_workdir_without_permission(launch, says, place):
    place.joinpath("some").chmod(0o500)
    says(launch("dcgan", "--preset", "smoke", "--workdir", "some/new"), "some/new cannot be written", "--workdir")


@pytest.mark.parametrize("text", ["{}", "[1]", '{"name": "dcgan"}'])
@pytest.mark.parametrize("words", [TRAIN[:-1], ["sample"]], ids=["train", "sample"])
def test_config_of_something_else(launch, says, place, snapshot, words, text):
    Path("some/config.json").write_text(text)
    before = snapshot(place)
    says(launch(*words, "some"), "some")
    assert snapshot(place) == before


def test_config_cut_short(launch, says, place, snapshot):
    Path("some/config.json").write_text('{"name": "dc')
    before = snapshot(place)
    for words in (TRAIN[:-1], ["sample"]):
        says(launch(*words, "some"), "some/config.json is damaged")
    assert snapshot(place) == before


def test_workdir_of_another_run(launch, says, dcgan, snapshot):
    before = snapshot(dcgan.workdir)
    says(launch("vae", "--preset", "smoke", "--workdir", dcgan.workdir), "a run of 'dcgan', not of 'vae'", "--workdir")
    assert snapshot(dcgan.workdir) == before


def test_changed_settings_are_refused_with_the_difference(launch, says, dcgan, snapshot):
    before = snapshot(dcgan.workdir)
    words = ["--width", 8, "--optimizer.b1", 0.9, "--data.flip", "true", "--log-every", 1]
    answer = launch("dcgan", "--preset", "smoke", "--workdir", dcgan.workdir, *words)
    says(answer, "width was 4 and is 8", "optimizer.b1 was 0.5 and is 0.9", "data.flip was False and is True")
    # What may change is no difference, and neither is what is the same.
    assert "log_every" not in answer.err
    assert answer.err.count(" was ") == 3
    assert "--restart" in answer.err
    assert snapshot(dcgan.workdir) == before


@pytest.mark.parametrize(
    ("words", "fragment"),
    [
        (["sample"], "error: Give the folder of a run, such as runs/dcgan. See"),
        (["side_by_side"], "error: Give the folder of a run"),
        (["sample", "nowhere"], "no folder nowhere"),
        (["sample", "file"], "no folder file"),
        (["sample", "some"], "some holds no run"),
        (["export", "some"], "some holds no run"),
        (["report", "some"], "some holds no run"),
        (["sample", "RUN", "--checkpoint", "7"], "no checkpoint '7' in"),
        (["evaluate", "RUN", "--checkpoint", "bst"], "there are latest, best and 10, 20"),
        (["interpolate", "RUN", "--checkpoint", "-1"], "no checkpoint '-1'"),
        (["sample", "RUN", "--checkpoint", "²"], "no checkpoint '²'"),
        (["sample", "RUN", "--num", "0"], "--num is 0"),
        (["sample", "RUN", "--num", "few"], "'few'"),
        (["sample", "RUN", "--nmu", "3"], "did you mean '--num'?"),
        (["sample", "RUN", "--width", "8"], "no setting --width"),
        (["sample", "RUN", "--out", "a.jpg"], "a.jpg has to end in .png or .npz, or in nothing"),
        (["sample", "RUN", "--out", "nowhere/a.png"], "nowhere"),
        (["sample", "RUN", "stray"], "'stray'"),
        (["interpolate", "RUN", "--points", "1"], "--points is 1; it has to be 2 or more"),
        (["export", "RUN", "--out", "a.txt"], "a.txt has to end in .npz"),
        (["evaluate", "RUN", "--jsn"], "did you mean '--json'?"),
        (["reconstruct", "RUN"], "makes no images of images"),
        (["report", "RUN", "--checkpoint", "7"], "no setting --checkpoint"),
        (["sample", "RUN", "--seed", str(2**70)], "--seed"),
    ],
)
def test_verbs(launch, says, copied, place, snapshot, words, fragment):
    before = snapshot(place)
    says(launch(*[str(copied) if word == "RUN" else word for word in words]), fragment)
    assert snapshot(place) == before


def test_reconstruct_with_a_negative_seed(launch, says, vae, tmp_path):
    says(launch("reconstruct", vae.workdir, "--seed", "-1", "--out", tmp_path / "a.png"), "--seed")


def test_checkpoints_without_records_are_none(launch, says, copied):
    for record in (copied / "checkpoints").glob("*.json"):
        record.unlink()
    says(launch("sample", copied), "no checkpoint yet")


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_the_process_says_it_and_exits_with_2(tmp_path, encoding):
    done = subprocess.run(
        [sys.executable, "-m", "experiments.run", "dcgan", "--steps", "many"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT), "PYTHONIOENCODING": encoding},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: --steps is 'many'; it has to be a whole number.")
    assert done.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("words", [["--help"], ["list"]])
def test_nobody_reads_on(words):
    reading, writing = os.pipe()
    os.close(reading)
    done = run_alone(words, stdout=writing)
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, "")


def test_output_to_a_full_device():
    with open("/dev/full", "w") as full:
        done = run_alone(["--help"], stdout=full)
    assert (done.returncode, done.stderr) == (1, "error: a file or the output: No space left on device.\n")


def run_alone(words, **options):
    words = [sys.executable, "-m", "experiments.run", *words]
    return subprocess.run(words, cwd=ROOT, stderr=subprocess.PIPE, text=True, timeout=120, check=False, **options)
