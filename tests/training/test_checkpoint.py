import json
import shutil
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import struct

from gdl_jax.errors import UsageError
from gdl_jax.steps.devices import make_mesh, replicated, split_along
from gdl_jax.training import checkpoint
from gdl_jax.training.checkpoint import CheckpointError, Checkpoints, leaf_paths


@struct.dataclass
class Tree:
    step: jax.Array
    networks: dict
    extra: dict


def tree_of(value: float) -> Tree:
    """Leaves of all kinds, each made of `value`; and subtrees without any."""
    special = np.array([value, -0.0, np.inf, np.nan, 1e-45], np.float32)
    return Tree(
        step=jnp.int32(value),
        networks={
            "generator": {"kernel": jnp.full((3, 2), value, jnp.bfloat16), "bias": jnp.asarray(special)},
            "frozen": {"opt_state": (), "ema": None, "collections": {}},
        },
        extra={"flag": jnp.array([True, False]), "bytes": jnp.arange(5, dtype=jnp.uint8), "none": {}},
    )


def wanted(tree):
    place = replicated(make_mesh(jax.devices()[:1]))
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=place), tree)


def save(folder: Path, *steps: int, **options) -> None:
    checkpoints = Checkpoints(folder, **options)
    for step in steps:
        checkpoints.save(step, tree_of(step), {"note": step})
    checkpoints.close()


def restore(folder: Path, step: int | None = None):
    checkpoints = Checkpoints(folder, read_only=True)
    return checkpoints.restore(wanted(tree_of(0)), step), checkpoints.damaged


def assert_equal(found, expected) -> None:
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    for path, leaf in leaf_paths(expected).items():
        mine = leaf_paths(found)[path]
        assert (mine.shape, mine.dtype) == (leaf.shape, leaf.dtype), path
        assert np.asarray(mine).tobytes() == np.asarray(leaf).tobytes(), path


@pytest.fixture(scope="module")
def saved(tmp_path_factory) -> Path:
    """A folder with the checkpoints 1 and 2."""
    folder = tmp_path_factory.mktemp("saved") / "checkpoints"
    save(folder, 1, 2)
    return folder


@pytest.fixture
def folder(saved, tmp_path) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(saved, tmp_path / "checkpoints"))


# Whole ----------------------------------------------------------------------------------------------------------------


def test_restores_bit_for_bit(saved):
    found, damaged = restore(saved)
    assert (found.step, found.notes, damaged) == (2, {"note": 2}, [])
    assert_equal(found.tree, tree_of(2))


def test_restores_the_step_asked_for(saved):
    found, _ = restore(saved, 1)
    assert found.step == 1
    assert_equal(found.tree, tree_of(1))


def test_no_checkpoint_is_none(tmp_path):
    assert restore(tmp_path / "absent") == (None, [])


def test_what_is_saved_is_the_value_at_the_call(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    give_away = jax.jit(lambda tree: jax.tree.map(jnp.zeros_like, tree), donate_argnums=0)
    tree = jax.block_until_ready(tree_of(7))
    checkpoints.save(7, tree, {})
    jax.block_until_ready(give_away(tree))
    checkpoints.close()
    assert_equal(restore(tmp_path)[0].tree, tree_of(7))


@pytest.mark.parametrize(("before", "after"), [(8, 1), (8, 2), (1, 8)])
def test_the_number_of_devices_may_change(tmp_path, before, after):
    tree = {"whole": jnp.arange(6.0), "split": jnp.arange(16.0).reshape(8, 2)}

    def places(n):
        mesh = make_mesh(jax.devices()[:n])
        return {"whole": replicated(mesh), "split": split_along(mesh, 0)}

    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(1, jax.tree.map(jax.device_put, tree, places(before)), {})
    checkpoints.close()
    abstract = jax.tree.map(lambda x, p: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=p), tree, places(after))
    found = Checkpoints(tmp_path, read_only=True).restore(abstract).tree
    assert_equal(found, tree)
    assert {name: leaf.sharding for name, leaf in found.items()} == places(after)


# Which of them stay ---------------------------------------------------------------------------------------------------


def listing(folder: Path) -> tuple[list[int], list[int]]:
    """The steps with a folder that orbax has committed, and the steps with a record."""
    names = [path.name for path in folder.iterdir()]
    return sorted(int(n) for n in names if n.isdigit()), sorted(int(n[:-5]) for n in names if n.endswith(".json"))


@pytest.mark.parametrize(("higher_is_better", "best"), [(True, 2), (False, 3)])
def test_the_newest_and_the_best_stay(tmp_path, higher_is_better, best):
    scores = {1: 0.0, 2: 5.0, 3: -5.0, 4: None, 5: 1.0, 6: 2.0, 7: None}
    checkpoints = Checkpoints(tmp_path, keep=2, higher_is_better=higher_is_better)
    for step, score in scores.items():
        checkpoints.save(step, tree_of(step), {}, score)
        durable = [s for s in scores if s < step]
        assert set(durable[-2:]) <= set(listing(tmp_path)[1]) <= set(listing(tmp_path)[0])
        checkpoints.wait()
        folders, records = listing(tmp_path)
        assert folders == records
        assert set(scores) & {step, step - 1} <= set(records) <= {step, step - 1, checkpoints.best()}
        assert_equal(restore(tmp_path)[0].tree, tree_of(step))
    assert checkpoints.best() == best
    checkpoints.close()
    assert listing(tmp_path)[1] == [best, 6, 7]
    assert_equal(restore(tmp_path, best)[0].tree, tree_of(best))


def test_the_newest_of_equals_is_best_and_a_score_that_is_no_number_is_none(tmp_path):
    checkpoints = Checkpoints(tmp_path, keep=9)
    for step, score in enumerate([float("nan"), 3.0, 3.0, None, float("inf"), float("nan")], 1):
        checkpoints.save(step, tree_of(step), {"evaluation": {"elbo": -np.inf, "kid": score, "fid": 0.1}}, score)
    checkpoints.close()
    assert Checkpoints(tmp_path, read_only=True).best() == 3
    # A number that is not finite damages no record.
    found, damaged = restore(tmp_path)
    assert (found.step, damaged) == (6, [])
    assert found.notes == {"evaluation": {"elbo": None, "kid": None, "fid": 0.1}}


def test_values_of_two_measures_are_not_compared(tmp_path):
    """A run may be continued by another metric: then the best is the best by it, once it has been taken."""
    fid, score = {"measure": "fid", "better": "min"}, {"measure": "inception_score", "better": "max"}
    checkpoints = Checkpoints(tmp_path, keep=1)
    best = []
    for step, (value, by) in enumerate([(3.0, fid), (9.0, fid), (None, score), (5.0, score), (4.0, score)], 1):
        checkpoints.save(step, tree_of(step), {}, value, by)
        checkpoints.wait()
        best.append(checkpoints.best())
    checkpoints.close()
    assert best == [1, 1, 1, 4, 4]
    assert checkpoints.steps() == [4, 5]


def test_without_its_record_it_does_not_count(folder):
    (folder / "2.json").unlink()
    found, damaged = restore(folder)
    assert (found.step, damaged) == (1, [])
    save(folder, 2)
    assert restore(folder)[0].step == 2


def test_what_was_being_written_is_discarded(folder):
    shutil.copytree(folder / "2", folder / "3.orbax-checkpoint-tmp")
    shutil.copytree(folder / "2", folder / "4")
    (folder / "4.damaged").mkdir()
    Checkpoints(folder).close()
    assert {path.name for path in folder.iterdir()} == {"1", "1.json", "2", "2.json", "4.damaged"}


def test_reading_changes_nothing(folder):
    shutil.copytree(folder / "2", folder / "3.orbax-checkpoint-tmp")
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    assert restore(folder)[0].step == 2
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


def test_poll_completes_a_save_that_has_ended(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(1, tree_of(1), {})
    checkpoints._orbax.wait()
    checkpoints.poll()
    assert checkpoints.steps() == [1]
    checkpoints.close()


# Damaged --------------------------------------------------------------------------------------------------------------


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def cut(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2] + data[len(data) // 2 + 1 :])


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


DAMAGES = {"flip": flip, "cut": cut, "truncate": truncate, "remove": Path.unlink}


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_file_is_found(saved, tmp_path, name):
    files = [path.relative_to(saved) for path in sorted((saved / "2").rglob("*")) if path.stat().st_size]
    assert len(files) > 5
    for number, file in enumerate(path for path in files if (saved / path).is_file()):
        folder = Path(shutil.copytree(saved, tmp_path / str(number)))
        DAMAGES[name](folder / file)
        found, damaged = restore(folder)
        assert found.step == 1, file
        assert len(damaged) == 1
        assert f"step 2 in {folder} is damaged: its file {file.relative_to('2')}" in damaged[0]
        assert_equal(found.tree, tree_of(1))


@pytest.mark.parametrize("name", ["flip", "cut"])
@pytest.mark.parametrize("place", [0.05, 0.3, 0.5, 0.8, 0.95])
def test_a_damaged_record_is_found(folder, name, place):
    record = folder / "2.json"
    data = bytearray(record.read_bytes())
    # The nearest character that is no white space: JSON does not mind that.
    at = next(i for i in range(int(place * len(data)), len(data)) if chr(data[i]).isalnum())
    if name == "flip":
        data[at] ^= 1
    else:
        del data[at]
    record.write_bytes(data)
    found, damaged = restore(folder)
    assert found.step == 1
    assert "its record 2.json cannot be read" in damaged[0]


@pytest.mark.parametrize("text", ["", "[]", "null", "{}", '{"record": 1, "digest": 2}', "\udcff"])
def test_a_record_of_another_kind_is_found(folder, text):
    (folder / "2.json").write_bytes(text.encode(errors="surrogateescape"))
    assert restore(folder)[0].step == 1


def test_a_damaged_one_is_set_aside_and_saved_again(folder):
    flip(next(path for path in (folder / "2").rglob("d/*") if path.is_file()))
    checkpoints = Checkpoints(folder)
    found = checkpoints.restore(wanted(tree_of(0)))
    assert found.step == 1
    checkpoints.set_aside_after(found.step)
    assert checkpoints.steps() == [1]
    assert (folder / "2.damaged").is_dir()
    checkpoints.save(2, tree_of(2), {})
    checkpoints.save(3, tree_of(3), {})
    checkpoints.close()
    assert restore(folder)[0].step == 3
    assert_equal(restore(folder, 2)[0].tree, tree_of(2))
    assert (folder / "2.damaged").is_dir()


@pytest.mark.parametrize("damage", ["folder", "record"])
def test_one_without_its_folder_or_with_an_empty_record_is_set_aside(folder, damage):
    shutil.rmtree(folder / "2") if damage == "folder" else (folder / "2.json").write_text("")
    checkpoints = Checkpoints(folder)
    checkpoints.set_aside_after(checkpoints.restore(wanted(tree_of(0))).step)
    checkpoints.save(2, tree_of(2), {})
    checkpoints.close()
    assert_equal(restore(folder)[0].tree, tree_of(2))


def test_values_that_orbax_reads_wrongly_are_found(folder, monkeypatch):
    load = Checkpoints._load

    def wrong(self, step, abstract):
        tree = load(self, step, abstract)
        return tree.replace(step=tree.step + 1) if step == 2 else tree

    monkeypatch.setattr(Checkpoints, "_load", wrong)
    found, damaged = restore(folder)
    assert found.step == 1
    assert "the values of step are not those that were saved" in damaged[0]


def test_all_damaged(folder):
    for step in ("1", "2"):
        flip(next(path for path in (folder / step).rglob("d/*") if path.is_file()))
    with pytest.raises(UsageError, match=r"step 1 .* is damaged: its file .* has changed\. There is no good") as error:
        restore(folder)
    assert "\n" not in str(error.value)


def test_the_one_asked_for_is_damaged(folder):
    flip(next(path for path in (folder / "1").rglob("d/*") if path.is_file()))
    with pytest.raises(UsageError, match=r"step 1 .* is damaged"):
        restore(folder, 1)


# Of another model -----------------------------------------------------------------------------------------------------


def put(tree, change):
    networks = {name: dict(network) for name, network in tree.networks.items()}
    change(networks["generator"])
    return tree.replace(networks=networks)


ANOTHER = {
    "missing": (lambda net: net.update(scale=jnp.ones(2)), r"has no networks/generator/scale: it is of another model"),
    "extra": (lambda net: net.pop("bias"), r"also has networks/generator/bias: it is of another model"),
    "shape": (
        lambda net: net.update(kernel=jnp.ones((2, 3), jnp.bfloat16)),
        r"networks/generator/kernel is bfloat16\[3, 2\] in the checkpoint .* and bfloat16\[2, 3\] in this model",
    ),
    "dtype": (
        lambda net: net.update(kernel=jnp.ones((3, 2), jnp.float32)),
        r"networks/generator/kernel is bfloat16\[3, 2\] in the checkpoint .* and float32\[3, 2\] in this model",
    ),
}


@pytest.mark.parametrize("name", ANOTHER)
def test_of_another_model(saved, name):
    change, sentence = ANOTHER[name]
    with pytest.raises(UsageError, match=sentence) as error:
        Checkpoints(saved, read_only=True).restore(wanted(put(tree_of(0), change)))
    assert "--restart" in str(error.value)


# That cannot be written -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seen", [True, False])
def test_a_full_disk_is_an_error_and_the_one_before_stays(small_disk, monkeypatch, seen):
    """Seen before, or not until orbax writes."""
    folder = small_disk(2) / "checkpoints"
    save(folder, 1)
    if not seen:
        monkeypatch.setattr(Checkpoints, "_check_room", lambda *_: None)
    checkpoints = Checkpoints(folder)
    noise = jnp.asarray(np.random.default_rng(0).standard_normal(2**20, np.float32))

    def fail():
        checkpoints.save(2, {"noise": noise}, {})
        checkpoints.wait()

    sentence = r"^The checkpoint of step 2 could not .*No space left on device.* the last good one is of step 1\.$"
    with pytest.raises(CheckpointError, match=sentence):
        fail()
    checkpoints.close()
    monkeypatch.undo()
    assert Checkpoints(folder, read_only=True).steps() == [1]
    assert_equal(restore(folder)[0].tree, tree_of(1))
    save(folder, 2)
    assert_equal(restore(folder)[0].tree, tree_of(2))


def test_a_record_that_cannot_be_written_is_an_error(folder, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    checkpoints = Checkpoints(folder)
    checkpoints.save(3, tree_of(3), {})
    monkeypatch.setattr(checkpoint, "write_json", full)
    with pytest.raises(CheckpointError, match=r"step 3 .*No space left.* of step 2\.$"):
        checkpoints.wait()
    monkeypatch.undo()
    checkpoints.close()
    assert Checkpoints(folder, read_only=True).steps() == [1, 2]
    save(folder, 3)
    assert restore(folder)[0].step == 3


def test_the_first_fails(tmp_path, monkeypatch):
    checkpoints = Checkpoints(tmp_path)
    monkeypatch.setattr(checkpoint, "write_json", lambda *_: (_ for _ in ()).throw(OSError("broken")))
    checkpoints.save(1, tree_of(1), {})
    with pytest.raises(CheckpointError, match=r"\(broken\); there is none yet\.$"):
        checkpoints.close()


def test_the_record_is_sealed(saved):
    written = json.loads((saved / "2.json").read_text())
    assert written == checkpoint._seal(written["record"])
    assert written["record"]["leaves"].keys() == leaf_paths(tree_of(2)).keys()
