"""README's tables of speed are what the commands print of the records beside them."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import convolutions, record, run

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks/results"


def test_readme_says_what_the_records_say(capsys):
    readme = (ROOT / "README.md").read_text()
    for program, file in ((run, "steps_cpu_2_cores.json"), (convolutions, "convolutions_cpu_2_cores.json")):
        assert f"`python -m {program.PROGRAM} table benchmarks/results/{file}`" in readme
        assert program.main(["table", str(RESULTS / file)]) == 0
        said = capsys.readouterr().out.strip()
        assert (said if program is run else said.split("\n\n")[-1]) in readme


def test_no_table_chooses_between_two_records_of_one_step(capsys):
    path = str(RESULTS / "steps_cpu_2_cores.json")
    assert run.main(["table", path, path]) == 2
    assert "There are 2 records of 'dcgan" in capsys.readouterr().err


@pytest.mark.parametrize("path", sorted(RESULTS.glob("*.json")), ids=lambda path: path.stem)
def test_every_record_can_be_read(path):
    programs = {"convolutions": "benchmarks.convolutions", "features": "benchmarks.features"}
    assert record.read(path, programs.get(path.stem.split("_")[0], run.PROGRAM))["records"]


def test_the_summary_counts_and_names_what_is_slow():
    records = [
        {"name": "a", "operation": operation, "torch": {"speedup": speedup}}
        for operation, speedup in (("forward", 0.25), ("input gradient", 0.334), ("kernel gradient", 4.0))
    ]
    (named,), (text,) = convolutions.outliers(records), convolutions.summary(records)
    assert [line.split() for line in named.splitlines()[1:]] == [["a,", "forward", "0.25"]]
    rows = [line.split("  ")[0] + " " + " ".join(line.split()[-5:]) for line in text.splitlines()[1:]]
    assert rows[0].endswith("0.25 0.25 1 of 1")
    assert rows[1].endswith("0.33 0.33 0 of 1")
    assert rows[3].endswith("0.69 0.25 1 of 3")
