"""From the words of the command line to a run, and from what goes wrong to a sentence and an exit code."""

from __future__ import annotations

import logging
import os
import shlex
import sys
from pathlib import Path

import jax

from experiments import listing, workdir
from experiments.command_line import Launch, parse_training, to_arguments
from experiments.dry_run import dry_run, parameters
from experiments.registry import VERBS, Experiment, Study, find
from experiments.study import run_study
from gdl_jax.data.order import Order
from gdl_jax.data.source import load
from gdl_jax.data.spec import DataSpec, describe
from gdl_jax.errors import UsageError, of_system
from gdl_jax.pictures.report import write_report
from gdl_jax.steps.devices import check_divisible, make_mesh
from gdl_jax.training.cache import keep_compiled_programs
from gdl_jax.training.checkpoint import CheckpointError
from gdl_jax.training.interrupt import Interrupt
from gdl_jax.training.loop import Job, check_disk, train
from gdl_jax.training.processes import barrier, connect
from gdl_jax.training.program import abstract_carry, check_flip
from gdl_jax.training.progress import NonFiniteError
from gdl_jax.training.sample_metrics import metrics_of


def launch(arguments: list[str]) -> int:
    """Runs a verb, an experiment or a study; see `experiments.run`."""
    logging.basicConfig(format="%(message)s", level=logging.WARNING, force=True)
    # Orbax and tensorboardX speak through absl of things that are no concern of the user.
    logging.getLogger("absl").setLevel(logging.CRITICAL)
    try:
        if arguments[0] == "list":
            listing.show(arguments[1:])
        elif arguments[0] == "continue":
            return continue_run(arguments[1:])
        elif arguments[0] in VERBS:
            # Training starts sooner without them.
            from experiments.verbs.every_verb import run_verb

            keep_compiled_programs()
            run_verb(arguments[0], arguments[1:])
        elif issubclass(entry := find(arguments[0]), Study):
            run_study(entry, arguments)
        else:
            return run_experiment(entry, arguments)
    except UsageError as error:
        return _fail(str(error), 2)
    except (CheckpointError, NonFiniteError) as error:
        return _fail(str(error), 1)
    except BrokenPipeError:
        raise
    except OSError as error:
        return _fail(of_system(error), 1)
    return 0


def _fail(sentence: str, code: int) -> int:
    print(f"error: {sentence}", file=sys.stderr)
    if jax.process_count() > 1:
        # The orderly way out waits for the other processes, which wait for this one.
        sys.stderr.flush()
        sys.stdout.flush()
        os._exit(code)
    return code


def continue_run(arguments: list[str]) -> int:
    """`continue WORKDIR [--steps N ...]`: trains on with the settings of the folder, of which some may change.

    Raises:
        UsageError: there is no run, or a setting may not change.
    """
    usage = "python -m experiments.run continue WORKDIR [--steps N ...]"
    if arguments in (["-h"], ["--help"]):
        print(f"{usage}: trains on with the settings of the folder; those that change no step's result may be given.")
        return 0
    if not arguments or arguments[0].startswith("-"):
        raise UsageError(f"Give the folder of a run, such as runs/dcgan: {usage}.")
    if "--restart" in arguments:
        raise UsageError("--restart starts anew and does not continue; leave it out, or give the experiment's name.")
    folder, changes = arguments[0], arguments[1:]
    saved = workdir.read(Path(folder))
    settings = [*to_arguments(saved["config"]), "--workdir", folder, *changes]
    said = [*shlex.split(saved["command"].removeprefix(workdir.command([]))), *changes]
    return run_experiment(find(saved["name"]), [saved["name"], *settings], said)


def run_experiment(entry: type[Experiment], arguments: list[str], said: list[str] | None = None) -> int:
    """Trains, or continues to.

    Args:
        entry: what.
        arguments: its name, its settings and those of the launch.
        said: the same as a user writes them, for config.json; None for `arguments`.

    Returns:
        The exit code.
    """
    name, said = arguments[0], said or arguments
    options, experiment = parse_training(name, entry, arguments[1:])
    connect(options)
    if options.compile_cache:
        keep_compiled_programs()
    check_divisible(experiment.batch_size, make_mesh())
    job = prepare(name, options, experiment, said)
    if job is None:
        return 0
    with Interrupt() as interrupt:
        progress = train(job, interrupt)
    again = workdir.command(said).replace(" --restart", "")
    if jax.process_index() == 0:
        if progress.step:
            print(f"report: {write_report(job.workdir)}")
        if progress.step < experiment.steps and interrupt.received is not None:
            print(f"stopped by {interrupt.received.name} at step {progress.step}; continue with: {again}")
    return interrupt.exit_code if progress.step < experiment.steps else 0


def prepare(name: str, options: Launch, experiment: Experiment, arguments: list[str]) -> Job | None:
    """Everything before training: data, model, workdir. None after a dry run."""
    folder = options.workdir or workdir.default(name)
    # Before the data are read, so that a mistake in the settings is told at once.
    if not options.dry_run:
        workdir.check(folder, name, experiment, restart=options.restart)

    train_data, test_data = load(experiment.data, "train"), load(experiment.data, "test")
    data = DataSpec.of(train_data)
    model = experiment.build(data)
    metrics = metrics_of(model, train_data, test_data, experiment, make_mesh())
    if options.dry_run:
        print(dry_run(model, train_data, experiment))
        return None
    if not options.restart:
        workdir.check_data(folder, data)

    carry = abstract_carry(model, data.arrays, experiment.batch_size, make_mesh())
    check_flip(model, data.arrays, experiment)
    Order(len(train_data), experiment.batch_size, experiment.seed)
    check_disk(folder, carry, experiment, freed=workdir.size(folder) if options.restart else 0)
    barrier("checked")
    if jax.process_index() == 0:
        # After everything that can be wrong has been looked at.
        if options.restart:
            workdir.delete(folder)
        workdir.write(folder, name, experiment, data, arguments, parameters(carry))
        print(f"{name}: {experiment.summary()}")
        print(f"workdir: {folder} (samples, all numbers in metrics.jsonl, checkpoints, report.html)")
        print(f"data: {describe(train_data, test_data)}")
        sys.stdout.flush()
    barrier("written")
    return Job(
        model=model,
        train=train_data,
        test=test_data,
        settings=experiment,
        workdir=folder,
        monitor=experiment.monitor,
        metrics=metrics,
        profile=options.profile,
    )
