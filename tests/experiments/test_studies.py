"""Every registered study through the launcher, at its own settings or its smoke preset's.

Nothing in the first part knows what there is.
"""

import base64
import dataclasses
import inspect
import json
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import flax.linen as nn
import jax
import numpy as np
import pytest
from PIL import Image
from scipy.stats import t as student_t

from experiments.registry import load_all, load_studies, read_catalogue
from experiments.studies.gan_tricks import DATA, GANTricks, Score, p_value
from experiments.studies.manifolds import GENERATORS
from experiments.studies.monitors import energy_distance
from gdl_jax.data.source import load
from gdl_jax.data.spec import DataSpec

STUDIES = load_studies()


@dataclass(frozen=True)
class Done:
    """A study that was run."""

    name: str
    workdir: Path
    out: str

    @property
    def numbers(self) -> dict[str, float]:
        return json.loads((self.workdir / "summary.json").read_text())

    @property
    def config(self) -> dict:
        return json.loads((self.workdir / "config.json").read_text())


@pytest.fixture(autouse=True, scope="session")
def promotion():
    """Optax's own: it raises a float to an int32 power."""
    with jax.numpy_dtype_promotion("standard"):
        yield


@pytest.fixture(scope="session")
def studied(tmp_path_factory):
    """`studied(name)`: the study done when it is first asked for. Not to be changed."""
    done = {}

    def get(name: str, launch) -> Done:
        if name not in done:
            workdir = tmp_path_factory.mktemp("studies") / name
            # Here the work takes longer than its compilation.
            jax.config.update("jax_disable_most_optimizations", False)
            smoke = ("--preset", "smoke") if "smoke" in STUDIES[name].presets() else ()
            answer = launch(name, *smoke, "--workdir", workdir)
            assert (answer.code, answer.err) == (0, ""), answer
            done[name] = Done(name, workdir, answer.out)
        return done[name]

    return get


@pytest.fixture(params=STUDIES)
def each(request, studied, launch) -> Done:
    return studied(request.param, launch)


@pytest.fixture
def of(studied, launch):
    return lambda name: studied(name, launch)


@pytest.mark.parametrize("name", STUDIES)
def test_every_study_is_complete(name):
    study = STUDIES[name]
    assert study.paper
    assert set(study.systems) <= set(read_catalogue())
    text = inspect.getdoc(study)
    assert not text.startswith(study.__name__ + "(")
    assert study.summary().endswith(".")
    assert f"python -m experiments.run {name}" in text
    assert all(type(preset) is study for preset in study.presets().values())
    assert dataclasses.is_dataclass(study)
    assert name not in load_all()


def test_folder_is_complete(each):
    assert each.config["name"] == each.name
    assert each.config["kind"] == "study"
    assert each.config["versions"]["jax"] == jax.__version__
    assert set(each.config["config"]) == {field.name for field in dataclasses.fields(STUDIES[each.name])}
    figures = each.config["figures"]
    assert figures
    for name in figures:
        with Image.open(each.workdir / "figures" / f"{name}.png") as image:
            pixels = np.asarray(image.convert("L"))
        assert pixels.std() > 5
    found = {path.name for path in each.workdir.iterdir()}
    assert found == {"config.json", "summary.json", "figures", "report.html"}


def test_numbers_are_finite_and_told(each):
    assert each.numbers
    assert np.isfinite(list(each.numbers.values())).all()
    for name, value in each.numbers.items():
        assert re.search(rf"^  {re.escape(name)} +{re.escape(f'{value:.6g}')}$", each.out, re.MULTILINE), name
    assert each.config["text"] in each.out
    assert str(each.workdir / "report.html") in each.out


def test_report_has_words_numbers_figures_and_settings_and_needs_nothing_else(each):
    page = (each.workdir / "report.html").read_text()
    assert not re.search(r'(?:src|href)="(?!data:)', page)
    assert page.count("<img ") == len(each.config["figures"])
    for encoded in re.findall(r'src="data:image/[a-z+]+;base64,([^"]*)"', page):
        assert base64.b64decode(encoded, validate=True)[:4] in (b"\x89PNG", b"<?xm")
    given = [name for name, value in each.config["config"].items() if value is not None]
    for name in [*each.numbers, *(each.config["figures"]), *given]:
        assert name in page or name.replace("_", " ") in page
    assert "none yet" not in page


@pytest.mark.parametrize("name", STUDIES)
def test_every_setting_is_explained_in_help(name, launch):
    answer = launch(name, "--help")
    assert answer.code == 0
    words = " ".join(answer.out.replace("│", " ").split())
    for setting in dataclasses.fields(STUDIES[name]):
        assert f"--{setting.name.replace('_', '-')}" in words
    assert words.count("(default: ") >= len(dataclasses.fields(STUDIES[name])) + 3
    assert "--dry-run" not in words


@pytest.mark.parametrize("name", ["perceptron", "wrodl"])
def test_again_gives_the_same_bytes_and_replaces_the_findings(of, launch, tmp_path, name):
    copy = Path(shutil.copytree(of(name).workdir, tmp_path / name))
    before = {path.name: path.read_bytes() for path in [copy / "summary.json", *(copy / "figures").iterdir()]}
    (copy / "figures" / "old.png").write_bytes(b"x")
    (copy / "mine.txt").write_text("x")
    jax.config.update("jax_disable_most_optimizations", False)
    assert launch(name, "--workdir", copy).code == 0
    after = {path.name: path.read_bytes() for path in [copy / "summary.json", *(copy / "figures").iterdir()]}
    assert after == before
    assert (copy / "mine.txt").exists()


def test_other_settings_replace_the_findings(of, launch, tmp_path):
    copy = Path(shutil.copytree(of("box_density").workdir, tmp_path / "box"))
    assert launch("box_density", "--workdir", copy, "--num-points", "20", "--seed", "7").code == 0
    assert json.loads((copy / "config.json").read_text())["config"]["num_points"] == 20
    assert json.loads((copy / "summary.json").read_text()) != of("box_density").numbers


def test_presets_are_taken(launch, tmp_path):
    answer = launch("diabetes_regression", "--preset", "lanham", "--steps", "3", "--workdir", tmp_path / "d")
    assert answer.code == 0
    config = json.loads((tmp_path / "d" / "config.json").read_text())["config"]
    assert (config["standardize"], config["seeds"], config["steps"]) == (False, 1, 3)


def test_default_folder(launch, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert launch("box_density").code == 0
    assert (tmp_path / "runs" / "box_density" / "summary.json").exists()


WRONG = [
    (["xor_mpl"], "'xor_mpl': did you mean 'xor_mlp'?"),
    (["box_density", "--num-pionts", "3"], "did you mean '--num-points'?"),
    (["box_density", "--num-points", "0"], "--num-points is 0; it has to be above 0"),
    (["box_density", "--seed", "-1"], "--seed is -1"),
    (["box_density", "--num-points", "1"], "--num-points is 1; it has to be from 2 to 10000."),
    (["toolkit", "--dropout-rate", "1"], "--dropout-rate is 1.0; it has to be from 0 to 0.99."),
    (["convolution_mechanics", "--size", "100000"], "--size is 100000; it has to be from 8 to 512."),
    (["gaussian_mixtures", "--steps", "15"], "--steps is 15; it has to be a multiple of 10."),
    (["informative_losses", "--steps", "79"], "--steps is 79; it has to be a multiple of 40."),
    (["perceptron", "--learning-rate", "100"], "not finite: xor/mean_squared_error"),
    (["box_density", "--compile-cache"], "did you mean '--no-compile-cache'?"),
    (["learning_rates", "--steps", "few"], "'few'"),
    (["log_density", "--learning-rate", "nan"], "--learning-rate is nan"),
    (["ar", "--first", "2"], "no stationary process"),
    (["ar", "--horizon", "1"], "--horizon is 1"),
    (["ar", "--order", "50"], "--order is 50; it can be no more than --horizon, 40."),
    (["ar", "--num-steps", "100"], "--num-steps is 100"),
    (["diabetes_regression", "--preset", "lanhm"], "no preset 'lanhm': did you mean 'lanham'?"),
    (["pixel_naive_bayes", "--data.name", "noise"], "has no labels"),
    (["pixel_naive_bayes", "--data.name", "mnits"], "no data set 'mnits'"),
    (["box_density", "--restart"], "no setting --restart"),
    (["experiments.registry:Study"], "Study"),
]


@pytest.mark.parametrize(("words", "fragment"), WRONG)
def test_mistakes(launch, tmp_path, monkeypatch, snapshot, words, fragment):
    monkeypatch.chdir(tmp_path)
    answer = launch(*words)
    assert answer.code == 2
    assert answer.err.startswith("error: ")
    assert answer.err.count("\n") == 1
    assert fragment in answer.err
    assert snapshot(tmp_path) == {}


def test_folders_of_something_else_are_refused(launch, says, of, dcgan, tmp_path, snapshot):
    box, wrodl = of("box_density").workdir, of("wrodl").workdir
    (tmp_path / "some").mkdir()
    (tmp_path / "some" / "precious").write_text("x")
    for words, fragment in (
        (["wrodl", "--workdir", box], "a run of 'box_density', not of 'wrodl'"),
        (["box_density", "--workdir", dcgan.workdir], "a run of 'dcgan', not of 'box_density'"),
        (["dcgan", "--preset", "smoke", "--workdir", wrodl], "a run of 'wrodl', not of 'dcgan'"),
        (["box_density", "--workdir", tmp_path / "some"], "exists and holds no run"),
        (["box_density", "--workdir", tmp_path / "some" / "precious"], "exists and holds no run"),
    ):
        folder = Path(words[-1])
        before = snapshot(folder) if folder.is_dir() else folder.read_bytes()
        says(launch(*words), fragment)
        assert (snapshot(folder) if folder.is_dir() else folder.read_bytes()) == before


@pytest.mark.parametrize("verb", ["sample", "reconstruct", "interpolate", "evaluate", "report", "export"])
def test_verbs_say_that_a_study_has_no_model(launch, says, of, verb):
    says(launch(verb, of("box_density").workdir), "the study 'box_density', which has no model", "report.html")


OWN = '''
from dataclasses import dataclass
from experiments.registry import Findings, Study

@dataclass(frozen=True, kw_only=True)
class Own(Study):
    """Nothing much."""
    factor: float = 2.0
    """Of one."""
    def run(self):
        return Findings(numbers={"one": 1.0, "two": self.factor}, figures={}, text="Look.")
'''


@pytest.fixture
def own(tmp_path, monkeypatch):
    (tmp_path / "own_study.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def test_a_study_outside_of_the_tree(launch, own):
    answer = launch("own_study:Own", "--factor", "3")
    assert (answer.code, answer.err) == (0, "")
    assert json.loads((own / "runs" / "Own" / "summary.json").read_text()) == {"one": 1.0, "two": 3.0}
    assert "Look." in answer.out


def test_numbers_that_json_does_not_have_are_told(launch, own):
    answer = launch("own_study:Own", "--factor", "inf")
    assert (answer.code, answer.err) == (2, "error: With these settings numbers are not finite: two.\n")
    assert not (own / "runs").exists()


# What each of them shows.


def test_box_density(of):
    numbers = of("box_density").numbers
    assert numbers["left_half/likelihood"] == 0
    assert 0.25 < numbers["rule_1/on_land"] < 0.6
    assert numbers["rule_2/no_copy"] > 0.9


def test_wrodl(of):
    numbers = of("wrodl").numbers
    assert numbers["naive_bayes/log_likelihood"] == pytest.approx(-340.5711, abs=1e-3)
    assert numbers["full_joint/new_samples"] == 0
    assert numbers["naive_bayes/new_samples"] > 0.7
    left_out = "left_out_log_prob"
    assert numbers[f"naive_bayes_smoothed/{left_out}"] > numbers[f"full_joint_smoothed/{left_out}"] + 0.5


def test_pixel_naive_bayes(of):
    numbers = of("pixel_naive_bayes").numbers
    assert numbers["faces/real/is_a_face_of_the_planet"] == 1
    assert numbers["faces/sampled/is_a_face_of_the_planet"] == 0
    assert numbers["faces/sampled/has_what_all_faces_have"] == 1
    for kind in ("faces", "digits"):
        assert numbers[f"{kind}/sampled/neighbour_difference"] > 2 * numbers[f"{kind}/real/neighbour_difference"]
    assert numbers["digits/accuracy"] > 0.8
    assert numbers["digits/bits_per_dimension"] < 4


def test_biscuit_tins(of):
    numbers = of("biscuit_tins").numbers
    assert numbers["code/height_explained"] > 0.9
    assert numbers["code/width_explained"] > 0.9
    assert numbers["height_walk/height_change"] > 4 * abs(numbers["height_walk/width_change"])
    assert numbers["width_walk/width_change"] > 4 * abs(numbers["width_walk/height_change"])


def test_perceptron(of):
    numbers = of("perceptron").numbers
    assert numbers["xor/least_mean_squared_error"] == pytest.approx(0.25)
    assert numbers["xor/last_squared_error"] == pytest.approx(25 / 81, rel=1e-3)
    assert numbers["relu/prediction_of_3_3_3"] == pytest.approx(1.7619766554398972, rel=1e-4)
    assert numbers["linear/tenth_squared_error"] > 1e6


def test_xor_mlp(of):
    numbers = of("xor_mlp").numbers
    assert numbers["solved"] >= 0.9
    assert numbers["output_1_0"] == pytest.approx(1, abs=0.1)
    assert numbers["output_1_1"] == pytest.approx(0, abs=0.1)


def test_linear_regression(of):
    numbers = of("linear_regression").numbers
    assert numbers["descent/difference_from_closed_form"] < 1e-4
    assert numbers["descent/loss_beyond_the_largest_step"] > 10
    assert numbers["logistic/difference_from_newton"] < 0.02


def test_discriminative_generative(of):
    numbers = of("discriminative_generative").numbers
    assert numbers["line/threshold"] == pytest.approx(50, abs=2)
    assert numbers["line/best_accuracy"] == pytest.approx(0.89435, abs=1e-4)
    assert numbers["generative/accuracy_from_200"] > numbers["discriminative/accuracy_from_200"] > 0.9
    assert numbers["generative/accuracy_from_6"] < numbers["discriminative/accuracy_from_6"]


def test_ar(of):
    numbers = of("ar").numbers
    assert numbers["least_squares/beta_1"] == pytest.approx(1.5, abs=0.05)
    assert numbers["least_squares/beta_2"] == pytest.approx(-0.75, abs=0.05)
    assert numbers["descent/largest_difference_from_least_squares"] < 1e-3
    assert numbers["teacher_forcing/error"] == pytest.approx(1, abs=0.05)
    assert numbers["free_running/error_after_40"] == pytest.approx(
        numbers["free_running/predicted_error_in_the_end"], rel=0.1
    )


def test_diabetes_regression(of):
    numbers = of("diabetes_regression").numbers
    assert numbers["width_50/train"] < 0.2 * numbers["width_50/test"]
    assert numbers["best_step/test"] < 0.8 * numbers["width_50/test"]
    assert numbers["width_2/test"] < 1.5 * numbers["width_2/train"]
    assert 2500 < numbers["linear/test"] < 4000


def test_function_approximation(of):
    numbers = of("function_approximation").numbers
    assert numbers["early/output_10"] < 70
    assert numbers["end/output_10"] == pytest.approx(105, abs=3)
    assert numbers["end/output_15"] < 150
    assert numbers["end/train"] < 0.1


def test_learning_rates(of):
    numbers = of("learning_rates").numbers
    assert numbers["0.0001/fit"] == 0
    assert numbers["0.001/fit"] == numbers["0.01/fit"] == 1
    assert numbers["0.01/steps_to_fit"] < 0.3 * numbers["0.001/steps_to_fit"]
    assert numbers["0.1/fit"] < 1


def test_over_and_under_fitting(of):
    numbers = of("over_and_under_fitting").numbers
    assert numbers["width_5_step_0.1/train"] > 100
    assert numbers["width_100_step_0.1/test"] < 10
    assert numbers["width_100_step_1/train"] < 1 < numbers["width_100_step_1/test"] / 10


def test_log_density(of):
    numbers = of("log_density").numbers
    assert numbers["squared_error/test"] < 1e-3
    assert numbers["error_at_4"] > 1


def test_convolution_mechanics(of):
    numbers = of("convolution_mechanics").numbers
    assert numbers["patch/response"] == pytest.approx(2.3)
    assert numbers["patch/response_of_the_negative"] == pytest.approx(-2.3)
    assert numbers["stride_1/largest_difference_from_definition"] < 1e-5
    assert numbers["stride_2/largest_difference_from_definition"] < 1e-5
    assert (numbers["side_5/same"], numbers["side_5/no_padding"], numbers["side_5/same_stride_2"]) == (5, 3, 3)


def test_toolkit(of):
    numbers = of("toolkit").numbers
    assert numbers["batch_norm/largest_mean"] < 1e-4
    assert numbers["batch_norm/least_variance"] == pytest.approx(1, abs=1e-3)
    assert numbers["dropout/zero"] == pytest.approx(0.25, abs=0.01)
    assert numbers["dropout/mean"] == pytest.approx(1, abs=0.02)
    assert numbers["parameters/dense_3072_to_10"] == 3073 * 10
    assert numbers["parameters/conv_4x4_of_3_to_10"] == (4 * 4 * 3 + 1) * 10
    assert numbers["parameters/batch_norm_of_32"] == numbers["parameters/batch_norm_of_32_running"] == 64
    assert numbers["loss/mean_squared_error"] == pytest.approx((0.04 + 0.09 + 0.01) / 3)
    assert numbers["loss/mean_absolute_error"] == pytest.approx(0.6 / 3)
    assert numbers["loss/categorical_cross_entropy"] == pytest.approx(-np.log(0.7), rel=1e-5)
    assert numbers["loss/binary_cross_entropy"] == pytest.approx(-np.log(0.8 * 0.7 * 0.9) / 3, rel=1e-5)
    assert numbers["optimizer/Adam/loss"] < 1e-2
    assert [numbers[f"viewing/level_of_{value}"] for value in (-1, 0, 1)] == [0, 128, 255]


def test_training_monitor(of):
    study = of("training_monitor")
    numbers = study.numbers
    assert numbers["healthy/alarms"] == 0
    assert numbers["healthy/loss"] == pytest.approx(2 * np.log(2), abs=0.5)
    assert numbers["generator too slow/first_alarm"] >= 201
    assert numbers["generator too slow/accuracy_fake"] > 0.98
    assert numbers["steps too large/largest_gradient_norm"] > 100
    assert "discriminator/loss: below 0.001 for 200 steps" in study.config["text"]


def test_informative_losses(of):
    """Both generators come nearer; the losses of the one do not tell so, the distance that the critic sees does."""
    numbers = of("informative_losses").numbers
    for name in ("non-saturating", "Wasserstein"):
        assert numbers[f"{name}/energy_distance_at_last"] < 1.5
    assert numbers["Wasserstein/correlation_of_distance by the critic"] > 0.95
    assert numbers["Wasserstein/correlation_between_runs_of_distance by the critic"] > 0.7
    for player in ("generator", "discriminator"):
        assert abs(numbers[f"non-saturating/correlation_of_loss of the {player}"]) < 0.8
    assert energy_distance(np.array([[0.0], [2.0]]), np.array([[1.0]])) == pytest.approx(2 * 1 - 1)


def test_concept_figures(of):
    numbers = of("concept_figures").numbers
    assert numbers["chain_rule/difference_from_autodiff"] < 1e-6
    assert numbers["kl/closed_form"] == pytest.approx(numbers["kl/area"], rel=1e-5)
    assert numbers["kl/closed_form"] != pytest.approx(numbers["kl/other_way_round"], rel=0.01)
    assert numbers["earth_mover/distance"] == pytest.approx(numbers["earth_mover/cost_of_the_plan"])


def test_tequila(of):
    numbers = of("tequila").numbers
    assert numbers["train/ks"] == numbers["train/jsd"] == numbers["train/unseen_pairs_per_1000"] == 0
    assert numbers["train/p"] == 1
    # No pixel of two steps' training is 0, and rounding does not change that; of real ones most are.
    assert numbers["lsgan/zeros"] == 0
    assert numbers["lsgan/ks"] >= numbers["train/zeros"] - 1e-6
    # A pixel that was 0 and is now below leaves the histogram, or with the cut comes back as 0.
    assert numbers["adversarial/jsd"] > numbers["adversarial, cut/jsd"] > 10 * numbers["test/jsd"]
    # Of random pixels in {0, 1} only the share of zeros differs from that of digits' zeros by much.
    assert numbers["random pixels/ks"] == pytest.approx(
        abs(numbers["random pixels/zeros"] - numbers["train/zeros"]), abs=1e-6
    )
    assert max(numbers["test/ks"], numbers["test/slope_ks"]) < 0.05 < numbers["random pixels/slope_ks"]


def test_tequila_looks_at_runs_of_grey_digits_alone(launch, tmp_path):
    answer = launch("tequila", "--runs", tmp_path, "--workdir", tmp_path / "t")
    assert answer.code == 2
    assert str(tmp_path) in answer.err
    assert not (tmp_path / "t").exists()


def test_upsampling(of):
    numbers = of("upsampling").numbers
    for kernel, row in {3: "11212121", 4: "12222221", 5: "12232322"}.items():
        assert [numbers[f"kernel_{kernel}/pixel_{i}"] for i in range(8)] == [int(count) for count in row]
        assert (numbers[f"kernel_{kernel}/least_inside"] == numbers[f"kernel_{kernel}/most_inside"]) == (kernel == 4)
    share = {name.split(",")[0]: value for name, value in numbers.items() if name.endswith("two_pixels")}
    assert max(share["nearest"], share["bilinear"]) < 0.01
    assert min(value for name, value in numbers.items() if name.startswith("transposed")) > 0.03


def test_lipschitz(of):
    numbers = of("lipschitz").numbers
    assert numbers["sin x/largest_ratio"] <= numbers["sin x/steepest"] == 1
    assert numbers["x^2 / 2/largest_ratio"] > 3.9
    for name in ("clipped at 0.01", "clipped at 0.1", "gradient penalty", "spectral norm"):
        assert (
            numbers[f"{name}/slope_between"] <= numbers[f"{name}/slope_between_at_most"] <= numbers[f"{name}/largest"]
        )
    assert numbers["clipped at 0.01/slope_between"] < 0.01
    assert numbers["clipped at 0.1/largest"] > 1.3
    # The ring's distance from what is drawn near its middle is 2 at the most, and the slope a little above 1.
    assert numbers["gradient penalty/slope_between"] == pytest.approx(1.1, abs=0.1)
    assert numbers["spectral norm/largest"] < 1.02


def test_gan_failures(of):
    numbers = of("gan_failures").numbers
    assert numbers["objectives/jensen_shannon_at_shift_8"] == pytest.approx(np.log(2), abs=1e-3)
    # Of two Gaussians 8 apart the overlap is of this order, and -log D has the slope of the logit.
    assert numbers["objectives/minimax_at_shift_8"] < 1e-3
    assert numbers["objectives/non_saturating_at_shift_8"] == pytest.approx(8, rel=1e-3)
    assert numbers["far apart, as they are/slope_of_minimax"] < 1e-6
    for name in ("instance noise", "5 % of the labels wrong"):
        assert numbers[f"far apart, {name}/slope_of_minimax"] > 0.01
    assert numbers["far apart, real labels 0.9/largest_logit"] == pytest.approx(np.log(9), abs=0.5)
    assert numbers["frozen after 0/minimax_at_last"] < 0.1 * numbers["frozen after 0/minimax_at_first"]
    assert numbers["frozen after 0/non_saturating_at_last"] > 1
    assert numbers["fifty to one/mean_distance_of_pairs"] < 0.5 < 1.5 < numbers["one to one/mean_distance_of_pairs"]
    assert numbers["few data, alone/other_data_taken_for_wanted"] > 0.9
    assert numbers["few data, other data rejected/other_data_taken_for_wanted"] < 0.6


def test_gan_tricks(of):
    numbers = of("gan_tricks").numbers
    assert numbers["training images/classes"] == 10
    assert numbers["training images/distance"] < 1
    # After thirty steps nothing is learnt, and the two kinds of runs have nothing in common but the data.
    assert min(numbers[f"{name}/distance"] for name in ("all_kept", "max_pools")) > 5
    assert numbers["all_kept/distance"] != numbers["max_pools/distance"]
    kept, broken = ([Score(x, 10.0, 0.0, 0.0) for x in values] for values in ((1.0, 3.0), (4.0, 8.0)))
    # Variances 2 and 8 of two each: 4 / sqrt(5) standard errors, with (1 + 4)^2 / (1 + 16) degrees of freedom.
    assert p_value(broken, kept, "distance") == pytest.approx(2 * student_t.sf(4 / np.sqrt(5), 25 / 17))


def test_every_rule_that_gan_tricks_breaks_changes_the_model():
    study, data = GANTricks(), DataSpec.of(load(DATA, "train"))
    models = {name: study.model(changes, data) for name, changes in study.runs().items()}
    told = [
        (m.discriminator.downsampling, m.latent_distribution, m.labels is None, m.discriminator.dropout_rate,
         m.discriminator.activation is nn.relu, m.discriminator.kernels, m.generator.kernels)
        for m in models.values()
    ]  # fmt: skip
    kept, broken = ("strided", "normal", False, 0.2, False, (4, 4), (4, 4)), ("max_pool", "uniform", True, 0.0, True)
    assert told[0] == kept
    assert told[-1] == (*broken, (5, 5), (5, 5))
    for place, each in enumerate(told[1:-1]):
        changed = [i for i in range(len(kept)) if each[i] != kept[i]]
        assert changed == ([place] if place < 5 else [5, 6])


def test_gaussian_mixtures(of):
    numbers = of("gaussian_mixtures").numbers
    assert numbers["modes"] == 8
    assert numbers["covered/least"] >= 7
    assert numbers["high_quality"] > 0.3


def test_manifold_tells_the_four_generators_apart(of):
    numbers = of("manifold").numbers
    found = {name: (numbers[f"{name}/precision"], numbers[f"{name}/recall"]) for name in GENERATORS}
    high, low = (lambda x: x > 0.8), (lambda x: x < 0.4)
    wanted = {
        "precise, diverse": (high, high),
        "precise, not diverse": (high, low),
        "diverse, malformed": (low, high),
        "neither": (low, low),
    }
    assert {name for name in found if all(f(x) for f, x in zip(wanted[name], found[name], strict=True))} == set(wanted)
