"""A browser that runs a page's scripts."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@pytest.fixture
def browse(tmp_path) -> Callable[..., str]:
    """`browse(page, script, milliseconds)`: the document once its scripts, and one of the user, have run.

    Fails if they wrote an error to the console.
    """
    if CHROMIUM is None:
        pytest.skip("needs chromium in PATH")

    def dom(page: Path, user: str = "", milliseconds: int = 5000) -> str:
        acted = page.with_name("acted.html")
        acted.write_text(page.read_text().replace("</body>", f"<script>{user}</script></body>"))
        quiet = ["gpu", "quic", "background-networking", "component-update", "sync", "dev-shm-usage"]
        options = ["--headless", "--no-sandbox", "--no-first-run", *(f"--disable-{part}" for part in quiet)]
        work = [f"--user-data-dir={tmp_path / 'profile'}", "--enable-logging=stderr"]
        work += [f"--virtual-time-budget={milliseconds}", "--dump-dom"]
        shown = subprocess.run(
            [CHROMIUM, *options, *work, acted.as_uri()], capture_output=True, text=True, timeout=120, check=True
        )
        assert not re.search(r"CONSOLE.*|Uncaught.*", shown.stderr), shown.stderr
        return shown.stdout

    return dom
