"""What `--dry-run` prints: everything that can be known before training."""

from __future__ import annotations

import math

import jax

from experiments.registry import Experiment
from experiments.workdir import config_dict, flatten
from gdl_jax.data.order import Order
from gdl_jax.data.pipeline import DevicePipeline, make_pipeline
from gdl_jax.data.source import Source, nbytes
from gdl_jax.models.model import Model
from gdl_jax.networks.summary import format_table, parameter_table
from gdl_jax.steps.devices import check_divisible, local_rows, make_mesh
from gdl_jax.training.loop import checkpoint_bytes, disk_bytes
from gdl_jax.training.program import Carry, abstract_carry, compile_call


def parameters(carry: Carry) -> dict[str, int]:
    """Trainable parameters of each network."""
    return {
        name: sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(network.params))
        for name, network in carry.state.networks.items()
    }


def dry_run(model: Model, train: Source, experiment: Experiment) -> str:
    """The settings, the parameters of every network, and what a step costs."""
    mesh = make_mesh()
    check_divisible(experiment.batch_size, mesh)
    carry = abstract_carry(model, train.spec, experiment.batch_size, mesh)
    order = Order(len(train), experiment.batch_size, experiment.seed)
    pipeline = make_pipeline(train, order, local_rows(experiment.batch_size, mesh), experiment.data.placement)
    call = compile_call(model, pipeline, carry, experiment, mesh)
    memory = call.compiled.memory_analysis()
    on_device = isinstance(pipeline, DevicePipeline)

    parts = ["Settings"]
    parts += [f"  {name:<28} {value}" for name, value in flatten(config_dict(experiment)).items()]
    for name, network in carry.state.networks.items():
        parts += ["", f"Parameters of {name}", format_table(parameter_table(network.variables()))]
    parts += [
        "",
        "Cost",
        f"  {'parameters':<28} {sum(parameters(carry).values()):,}",
        f"  {'FLOPs per step':<28} {call.flops:,.0f} (as the compiler counts them)",
        f"  {'compile time':<28} {call.seconds:.1f} s",
        f"  {'training examples':<28} {len(train):,} ({order.batches_per_epoch:,} steps of a batch per epoch)",
        f"  {'data':<28} {_mib(nbytes(train))} {'on every device' if on_device else 'streamed from the host'}",
        f"  {'device memory':<28} {_mib(_bytes_used(memory))} on each of {mesh.size}",
        f"  {'one checkpoint':<28} {_mib(checkpoint_bytes(carry))}",
        f"  {'disk':<28} about {_mib(disk_bytes(carry, experiment))}",
    ]
    return "\n".join(parts)


def _bytes_used(memory: object) -> int:
    sizes = ("argument_size_in_bytes", "output_size_in_bytes", "temp_size_in_bytes", "generated_code_size_in_bytes")
    return sum(getattr(memory, size, 0) for size in sizes) - getattr(memory, "alias_size_in_bytes", 0)


def _mib(count: float) -> str:
    return f"{count / 2**20:,.1f} MiB"
