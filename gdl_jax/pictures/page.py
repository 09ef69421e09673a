"""What all pages have in common: one file that is complete in itself, one look, tables, pictures inside."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from gdl_jax.pictures.curves import escape

TEMPLATES = Path(__file__).parent


def page(template: str, parts: Mapping[str, str]) -> str:
    """A page of this folder's template of that name.

    Args:
        template: its name without ".html".
        parts: HTML in place of {{name}}; see `fill`.
    """
    text = (TEMPLATES / f"{template}.html").read_text(encoding="utf-8")
    return fill(text, {**parts, "style": (TEMPLATES / "page.css").read_text(encoding="utf-8").strip()})


def fill(template: str, parts: Mapping[str, str]) -> str:
    """Put `parts` in place of {{name}}, in one pass, so that what looks like {{name}} inside a part stays as it is."""
    return re.sub(r"\{\{(\w+)\}\}", lambda match: parts[match[1]], template)


def table(rows: Sequence[Sequence[str]], header: Sequence[str] = ()) -> str:
    """Rows whose first cell names them; empty without rows."""
    if not rows:
        return ""
    head = "<thead><tr>" + "".join(f'<th scope="col">{escape(cell)}</th>' for cell in header) + "</tr></thead>"
    body = "".join(
        f'<tr><th scope="row">{escape(first)}</th>' + "".join(f"<td>{escape(cell)}</td>" for cell in others) + "</tr>"
        for first, *others in rows
    )
    kind = "numbers" if header else "pairs"
    return f'<div class="scroll"><table class="{kind}">{head if header else ""}<tbody>{body}</tbody></table></div>'


def data_address(content: bytes, kind: str) -> str:
    """What stands for a file inside a page, such as of kind "image/png"."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def png_address(picture: UInt8[np.ndarray, "height width channels"]) -> str:
    """A grey or RGB picture inside a page, pixel for pixel."""
    flat = picture[..., 0] if picture.shape[-1] == 1 else picture
    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(flat)).save(file, format="PNG", optimize=True)
    return data_address(file.getvalue(), "image/png")
