"""The page of a run: whole, safe, self-contained, and alive in a browser."""

from __future__ import annotations

import base64
import html
import io
import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gdl_jax.errors import UsageError
from gdl_jax.pictures.grid import save_png
from gdl_jax.pictures.page import fill
from gdl_jax.pictures.report import charts_of, duration, evenly, flatten, histories, moment, write_report

ATTACK = '</code><script>alert("x")</script>'


def write_run(workdir: Path, *, frames: int = 3, steps: int = 80) -> Path:
    config = {
        "name": f"dcgan {ATTACK}",
        "summary": f"A GAN {ATTACK}",
        "command": f"python -m experiments.run dcgan --name '{ATTACK}'",
        "started": "2025-11-21T02:15:33+00:00",
        "config": {"data": {"name": ATTACK, "batch_size": 64}, "penalties": [1, 2], "{{name}}": "{{command}}"},
        "versions": {"jax": "0.10.2"},
        "git": None,
        "parameters": {"generator": 1284993},
        "devices": "1 x cpu",
    }
    workdir.mkdir(parents=True, exist_ok=True)
    (workdir / "config.json").write_text(json.dumps(config))
    (workdir / "summary.json").write_text(json.dumps({"frechet_distance": 12.5, "protocol": ATTACK}))
    lines = []
    for step in range(1, steps + 1):
        metrics = {"generator/loss": 1 / step, "discriminator/loss": None if step == 5 else 2.0, ATTACK: 1.0}
        seconds = {"train": 50.0 * step, "data": 0.5, "compile": 9.0}
        lines.append({"step": step, "epoch": step / 10, "metrics": metrics, "seconds": seconds})
        if step % 20 == 0:
            lines.append({"step": step, "evaluation": {"test/elbo": -100.0 - step}})
    (workdir / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"step": 9999, "met')
    for index in range(frames):
        picture = np.full((4, 4, 3), index, np.uint8)
        save_png(workdir / "samples" / f"{(index + 1) * 1000:06}.png", picture, zoom=1)
    save_png(workdir / "samples" / "reconstructions_000500.png", np.zeros((4, 4), np.uint8), zoom=1)
    return workdir


@pytest.fixture
def page(tmp_path) -> str:
    return write_report(write_run(tmp_path)).read_text(encoding="utf-8")


def players(page: str) -> list[str]:
    return re.findall(r'<figure class="player">.*?</figure>', page, re.DOTALL)


def embedded_pictures(page: str) -> list[np.ndarray]:
    pictures = []
    for data in re.findall(r'src="data:image/png;base64,([^"]*)"', page):
        with Image.open(io.BytesIO(base64.b64decode(data, validate=True))) as image:
            assert image.format == "PNG"
            pictures.append(np.asarray(image))
    return pictures


def test_nothing_is_requested_from_elsewhere(page):
    assert not re.search(r"https?:|@import|url\(", page)
    assert re.findall(r'(?:src|href)="(?!data:)', page) == []
    assert "default-src 'none'" in page


def test_pictures_are_whole_and_in_order(page):
    assert [int(picture.max()) for picture in embedded_pictures(page)] == [0, 1, 2, 0]
    samples, reconstructions = players(page)
    assert re.findall(r'data-step="(\d+)"', samples) == ["1000", "2000", "3000"]
    assert 'type="range" min="0" max="2" value="2"' in samples
    assert re.findall(r'alt="([^"]*)"( hidden)?>', samples) == [
        ("samples at step 1000", " hidden"),
        ("samples at step 2000", " hidden"),
        ("samples at step 3000", ""),
    ]
    assert "step 3,000" in samples
    assert "reconstructions" in reconstructions
    assert "range" not in reconstructions


def test_what_a_run_says_is_text_never_markup(page):
    assert "<script>alert" not in page
    assert page.count("<script>") == 1
    assert html.escape(ATTACK) in page
    assert '<th scope="row">{{name}}</th><td>{{command}}</td>' in page


def test_figures_charts_and_tables_are_there(page):
    assert re.findall(r'<svg class="curves"[^>]* aria-label="([^"]*)"', page)[0] == "loss"
    assert 'aria-label="elbo"' in page
    for row in (
        "data.batch_size</th><td>64",
        "penalties</th><td>[1, 2]",
        "jax</th><td>0.10.2",
        "distance</th><td>12.5",
    ):
        assert row in page
    assert "<dt>Step</dt><dd>80</dd>" in page
    assert "<dt>Training</dt><dd>1.1 h</dd>" in page
    assert "<dt>Parameters, generator</dt><dd>1,284,993</dd>" in page
    assert "<dd>2025-11-21 02:15 UTC</dd>" in page
    assert "9999" not in page


def test_alarms_of_a_gan_are_told(page, tmp_path):
    assert "Alarms" not in page
    folder = write_run(tmp_path / "failing")
    lines = [{"step": 10 * i, "metrics": {"discriminator/loss": 1e-5}} for i in range(1, 40)]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    failing = write_report(folder).read_text(encoding="utf-8")
    assert re.search(r"Alarms.*step 210</th><td>discriminator/loss</td><td>below 0\.001 for 200 steps", failing)


def test_long_runs_keep_forty_pictures(tmp_path):
    write_run(tmp_path, frames=95, steps=1)
    (samples, _) = players(write_report(tmp_path).read_text())
    steps = [int(step) for step in re.findall(r'data-step="(\d+)"', samples)]
    assert len(steps) == 40
    assert (steps[0], steps[-1]) == (1000, 95_000)
    assert "40 of 95 shown" in samples


def test_config_alone_is_enough(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    page = write_report(tmp_path).read_text()
    assert "<dd>none yet</dd>" in page
    assert not re.search(r"\{\{|<section|<figure", page)


def test_metrics_that_are_never_finite(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "metrics.jsonl").write_text('{"step": 1, "metrics": {"a/loss": null, "b": NaN, "text": "x"}}\n')
    page = write_report(tmp_path).read_text()
    assert page.count("<td>not finite</td>") == 2
    assert not re.search(r"\bnan\b", page, re.IGNORECASE)


def test_steps_done_twice_count_once_and_broken_lines_and_pictures_are_passed_over(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    lines = ['{"step": 1, "metrics": {"loss": 1}}', '{"step": 2, "metrics": {"loss": 7}}', '{"step": 3, "met']
    lines += ['{"step": 2, "metrics": {"loss": 5}}', "[]", '{"step": "x", "metrics": {"loss": 5}}']
    (tmp_path / "metrics.jsonl").write_text("\n".join(lines))
    (tmp_path / "samples").mkdir()
    (tmp_path / "samples" / "000001.png").write_bytes(b"")
    page = write_report(tmp_path).read_text()
    assert 'data-steps="1 2" data-values="1 5"' in page
    assert players(page) == []


def test_a_folder_without_a_run_is_refused(tmp_path):
    with pytest.raises(UsageError, match=r"no config\.json"):
        write_report(tmp_path)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(UsageError, match="is no JSON"):
        write_report(tmp_path)
    (tmp_path / "config.json").write_text("[]")
    with pytest.raises(UsageError, match="holds a list"):
        write_report(tmp_path)
    assert not (tmp_path / "report.html").exists()


def test_small_parts():
    assert list(flatten({"a": {"b": {"c": 1.5}, "d": {}}, "e": None, "f": "x"})) == [
        ("a.b.c", "1.5"),
        ("a.d", "{}"),
        ("e", "null"),
        ("f", "x"),
    ]
    names = ["g/gradient_norm", "g/logits", "d/loss", "g/loss", "grad_norm/d"]
    assert charts_of(names) == {
        "loss": ["d/loss", "g/loss"],
        "logits": ["g/logits"],
        "gradient norm": ["g/gradient_norm", "grad_norm/d"],
    }
    assert evenly([1, 2, 3], most=3) == [1, 2, 3]
    assert evenly(range(10), most=4) == [0, 3, 6, 9]
    assert [duration(seconds) for seconds in (None, 4.25, 90, 5400)] == ["", "4.2 s", "1.5 min", "1.5 h"]
    assert moment("2025-01-02T03:04:05") == "2025-01-02 03:04"
    assert moment("yesterday") == "yesterday"
    assert fill("{{a}}{{b}}", {"a": "{{b}}", "b": "2"}) == "{{b}}2"
    history = histories([{"step": 1, "m": {"x": 1}}, {"step": 2, "m": {}}, {"step": 3, "m": {"x": 2}}], "m")["x"]
    assert (history.steps, history.values) == ([1, 3], [1.0, 2.0])


def test_the_page_lives_in_a_browser(tmp_path, browse):
    report = write_report(write_run(tmp_path / "run"))
    dom = browse(report)
    assert 'data-frame="2"' in dom
    assert "<output>step 3,000</output>" in dom


def test_keys_turn_pictures_and_hovering_reads_values(tmp_path, browse):
    user = """
      document.body.dispatchEvent(new KeyboardEvent("keydown", {key: "ArrowLeft", bubbles: true}));
      const svg = document.querySelector(".chart svg"), box = svg.getBoundingClientRect();
      const at = {clientX: box.right - 10, clientY: box.top + box.height / 2};
      svg.dispatchEvent(new PointerEvent("pointermove", at));"""
    report = write_report(write_run(tmp_path / "run"))
    dom = browse(report, user)
    assert "<output>step 2,000</output>" in dom
    assert re.search(r'<div class="read-out"[^>]*><b>step 80</b><div><span>0\.0125</span>', dom)


def test_play_goes_from_the_first_to_the_last_picture(tmp_path, browse):
    user = """
      const seen = [];
      new MutationObserver(() => seen.push(document.querySelector("output").textContent))
        .observe(document.querySelector("output"), {childList: true, characterData: true, subtree: true});
      document.querySelector(".play").click();
      setTimeout(() => { document.title = seen.join("|") + document.querySelector(".play").textContent; }, 2000);"""
    report = write_report(write_run(tmp_path / "run"))
    dom = browse(report, user)
    assert "<title>step 1,000|step 2,000|step 3,000Play</title>" in dom
