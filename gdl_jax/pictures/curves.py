"""Line charts as SVG, written by hand: no plotting library, and colours that follow the page they are put into."""

from __future__ import annotations

import html
import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

# Ten hues that stay apart on white; a page may give its own, for a dark background, as --series-0 ... --series-9.
PALETTE = (
    "#2a66b1", "#c4541b", "#2d8055", "#8249ac", "#b52f52",
    "#0d8487", "#8c6a14", "#596675", "#cc4f94", "#65841f",
)  # fmt: skip

WIDTH = 480
PLOT_HEIGHT = 200
LINE_HEIGHT = 18
TITLE_HEIGHT = 26
CHARACTER_WIDTH = 6.2  # of the page's sans-serif at 11 pixels, rather too wide than too narrow

MANY_POINTS = 60
BUCKETS = 300  # a chart is about this wide in screen pixels / 2: more points are not seen, and make pages heavy
LARGEST = 1e300  # differences of numbers below this do not overflow

Number = float | int  # a type checker at run time takes `float` literally
Vector = Float[np.ndarray, " _points"] | Int[np.ndarray, " _points"]


def colour(index: int) -> str:
    """CSS colour of series `index`: the page's, else the palette's; they repeat after ten."""
    index %= len(PALETTE)
    return f"var(--series-{index}, {PALETTE[index]})"


def escape(text: object) -> str:
    """Text that is safe inside HTML and XML, in elements and in attributes."""
    printable = "".join(character for character in str(text) if character in "\t\n" or character >= " ")
    return html.escape(printable, quote=True)


def finite(values: Sequence[Number | None] | np.ndarray) -> Float[np.ndarray, " points"]:
    """Numbers as float64, with NaN for whatever cannot be drawn: None, NaN, infinities and beyond 1e300."""
    numbers = np.asarray(values, dtype=np.float64)
    return np.where(np.abs(numbers) < LARGEST, numbers, np.nan)


@dataclass(frozen=True, kw_only=True)
class Axis:
    """Data from `low` to `high` laid along the pixels from `start` to `end`, with ticks at round numbers."""

    low: Number
    high: Number
    start: Number
    end: Number
    log: bool = False
    whole: bool = False  # ticks at whole numbers only

    def place(self, values: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
        """Pixels of data; NaN stays NaN, and so does what a logarithm cannot take."""
        low, high = self.low, self.high
        if self.log:
            values = np.log10(values, where=values > 1 / LARGEST, out=np.full_like(values, np.nan))
            low, high = math.log10(low), math.log10(high)
        return self.start + (values - low) / (high - low) * (self.end - self.start)

    @property
    def scale(self) -> str:
        """What a script needs to go from data to pixels and back: low, high, start, end."""
        return f"{self.low!r} {self.high!r} {self.start:.1f} {self.end:.1f}"

    def ticks(self, count: int = 5) -> list[tuple[float, str]]:
        """Pixel and label of about `count` round numbers."""
        values = log_ticks(self.low, self.high, count) if self.log else nice_ticks(self.low, self.high, count)
        if self.whole:
            values = sorted({float(round(value)) for value in values if self.low <= round(value) <= self.high})
        labels = [short_number(value, 5) for value in values] if self.log else tick_labels(values)
        return list(zip(self.place(np.array(values, np.float64)).tolist(), labels, strict=True))


def limits(values: Float[np.ndarray, " points"], *, padding: float = 0.05, log: bool = False) -> tuple[float, float]:
    """Lowest and highest value with a margin; a constant gets room on both sides, and nothing at all gets 0 to 1.

    Args:
        values: NaN is passed over, as is, with `log`, what is not positive.
        padding: margin as a fraction of the span.
        log: margin and room are factors; the result is positive.
    """
    if log:
        low, high = limits(np.log10(values[values > 1 / LARGEST]), padding=padding)
        return 10.0 ** max(low, -305), 10.0 ** min(high, 305)
    values = values[np.isfinite(values)]
    if values.size == 0:
        return 0.0, 1.0
    low, high = float(values.min()), float(values.max())
    size = max(abs(low), abs(high))
    # Below a relative 1e-9 differences are rounding, and ticks would need more digits than anyone reads.
    if high - low <= 1e-9 * size or size < 1e-300:
        margin = 0.05 * size if size > 1e-290 else 0.5
    else:
        margin = padding * (high - low)
    return low - margin, high + margin


def nice_ticks(low: Number, high: Number, count: int = 5) -> list[Number]:
    """About `count` multiples of 1, 2 or 5 times a power of ten from `low` to `high`; needs low < high."""
    rough = (high - low) / count
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * (1 - 1e-9))
    return [index * step for index in range(math.ceil(low / step), math.floor(high / step) + 1)]


def log_ticks(low: Number, high: Number, count: int = 5) -> list[Number]:
    """About `count` powers of ten; with few of them in sight also 2 and 5 times these, or else plain round numbers."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    stride = max(1, math.ceil((last - first) / (count + 1)))
    factors = (1, 2, 5) if last - first <= 2 else (1,)
    ticks = [factor * 10.0**power for power in range(first, last + 1, stride) for factor in factors]
    inside = [tick for tick in ticks if low <= tick <= high]
    return inside if len(inside) >= 2 else nice_ticks(low, high, count)


def tick_labels(ticks: Sequence[Number]) -> list[str]:
    """Round ticks in as few digits as tell neighbours apart: 0.2 and 0.4, 1,000 and 2,000, 2e-7 and 4e-7."""
    largest = max((abs(tick) for tick in ticks), default=0.0)
    if largest == 0:
        return ["0"] * len(ticks)
    step = min((b - a for a, b in itertools.pairwise(ticks)), default=largest)
    ratio = largest / step
    if largest >= 1e7 or largest < 1e-3 or ratio > 1e5 or step < 1e-4:
        digits = max(3, math.ceil(math.log10(ratio) - 1e-9) + 1) if ratio < 1e12 else 3
        return [short_number(tick, digits) for tick in ticks]
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    return [f"{tick:,.{decimals}f}" for tick in ticks]


def short_number(value: Number, digits: int = 4) -> str:
    """A number in at most `digits` significant digits, without padding of its exponent: 0.6931, 1.5e6."""
    if value == 0:
        return "0"
    if abs(value) < 10**digits and float(value).is_integer():
        return f"{value:,.0f}"
    mantissa, _, exponent = f"{value:.{digits}g}".partition("e")
    return f"{mantissa}e{int(exponent)}" if exponent else mantissa


def smooth(values: Float[np.ndarray, " points"]) -> Float[np.ndarray, " points"]:
    """Gaussian moving average over about 4 % of the points; NaN stays NaN and takes no part in its neighbours."""
    deviation = max(len(values) / 60, 1.0)
    reach = min(math.ceil(3 * deviation), (len(values) - 1) // 2)
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / deviation) ** 2)
    known = np.isfinite(values)
    weight = np.convolve(known.astype(np.float64), kernel, mode="same")
    total = np.convolve(np.where(known, values, 0.0), kernel, mode="same")
    return np.divide(total, weight, where=known, out=np.full_like(values, np.nan))


def averaged(
    steps: Float[np.ndarray, " points"], values: Float[np.ndarray, " points"], buckets: int = BUCKETS
) -> tuple[Float[np.ndarray, " fewer"], Float[np.ndarray, " fewer"]]:
    """Means of steps and values over equal buckets of points; a bucket without any number is NaN."""
    starts = _bucket_starts(len(values), buckets)
    known = np.isfinite(values)
    count = np.add.reduceat(known.astype(np.float64), starts)
    total = np.add.reduceat(np.where(known, values, 0.0), starts)
    sizes = np.diff(starts, append=len(values))
    means = np.divide(total, count, where=count > 0, out=np.full_like(total, np.nan))
    return np.add.reduceat(steps, starts) / sizes, means


def thinned(
    steps: Float[np.ndarray, " points"], values: Float[np.ndarray, " points"], buckets: int = BUCKETS
) -> tuple[Float[np.ndarray, " fewer"], Float[np.ndarray, " fewer"]]:
    """At most three true points of each bucket: its lowest, its highest and, if there is one, its first gap.

    Picking every k-th point instead would hide the spikes that one looks for.
    """
    if len(values) <= 2 * buckets:
        return steps, values
    starts = _bucket_starts(len(values), buckets)
    kept: set[int] = {0, len(values) - 1}
    for start, part in zip(starts.tolist(), np.split(values, starts[1:]), strict=True):
        known = np.isfinite(part)
        if known.any():
            kept |= {start + int(np.nanargmin(part)), start + int(np.nanargmax(part))}
        if not known.all():
            kept.add(start + int(np.argmin(known)))
    index = np.array(sorted(kept))
    return steps[index], values[index]


def svg_curves(series: Mapping[str, tuple[Vector, Vector]], *, title: str, log_y: bool = False) -> str:
    """Line chart of several series against the step, as an `<svg>` element for a page.

    Many points are drawn as a faint line under their moving average. Values that are no numbers are gaps, and a number
    between gaps is a dot. The true points of each series stand in its `data-steps` and `data-values`, and the scales in
    `data-*` of the `<svg>`, so that a script can read them out.

    Args:
        series: name -> (steps, values), steps in increasing order; values may hold NaN and infinities.
        title: what is measured; the heading of the chart and the label of its vertical axis.
        log_y: vertical axis is logarithmic; values that are not positive are gaps.

    Returns:
        Well-formed XML without a namespace.

    Raises:
        ValueError: steps and values of a series differ in length.
    """
    lines = {name: _line(name, *line, log_y=log_y) for name, line in series.items()}
    every_step = np.concatenate([steps for steps, _ in lines.values()] or [np.empty(0)])
    every_value = np.concatenate([values for _, values in lines.values()] or [np.empty(0)])

    names = legend([(name, colour(index)) for index, name in enumerate(lines)], left=4, top=TITLE_HEIGHT, width=WIDTH)
    top = TITLE_HEIGHT + names.height + 8
    low, high = limits(every_value, log=log_y)
    y = Axis(low=low, high=high, start=top + PLOT_HEIGHT, end=top, log=log_y)
    first, last = limits(every_step, padding=0.0)
    left = 14 + CHARACTER_WIDTH * max((len(label) for _, label in y.ticks()), default=0)
    x = Axis(low=first, high=last, start=left, end=WIDTH - 16, whole=True)

    drawn = [_drawing(name, index, *line, x=x, y=y) for index, (name, line) in enumerate(lines.items())]
    height = top + PLOT_HEIGHT + 2 * LINE_HEIGHT + 4
    return "\n".join(
        [
            f'<svg class="curves" viewBox="0 0 {WIDTH} {height:.0f}" role="img" aria-label="{escape(title)}" '
            f'data-x="{x.scale}" data-y="{y.scale}" data-log="{int(log_y)}">',
            heading(title + (" (log scale)" if log_y else "")),
            names.svg,
            axes(x, y, x_label="step"),
            *drawn,
            "</svg>",
        ]
    )


@dataclass(frozen=True)
class Legend:
    """Swatches with names, and the height that they take."""

    svg: str
    height: Number


def legend(entries: Sequence[tuple[str, str]], *, left: Number, top: Number, width: Number) -> Legend:
    """Names beside their colours, in as many lines as they need.

    Args:
        entries: name and CSS colour of each.
        left: pixel where each line starts.
        top: upper edge of the first line.
        width: where a line must end.
    """
    parts, x, y = [], left, top
    for name, stroke in entries:
        length = 18 + CHARACTER_WIDTH * len(name) + 14
        if x > left and x + length > width:
            x, y = left, y + LINE_HEIGHT
        parts.append(
            f'<g class="key"><path d="M{x:.1f},{y + 8:.1f}h12" style="stroke:{stroke}" stroke-width="3"/>'
            f'<text x="{x + 18:.1f}" y="{y + 12:.1f}">{escape(name)}</text></g>'
        )
        x += length
    return Legend("\n".join(parts), y + LINE_HEIGHT - top if entries else 0)


def heading(title: str) -> str:
    """Title at the upper left of a chart."""
    return f'<text class="title" x="4" y="15">{escape(title)}</text>'


def axes(x: Axis, y: Axis, *, x_label: str = "") -> str:
    """Grid lines and numbers of both axes, and the name of the horizontal one under its right end."""
    parts = ['<g class="axes" fill="none" stroke="currentColor">']
    for pixel, label in y.ticks():
        parts.append(f'<path class="rule" stroke-opacity="0.15" d="M{x.start:.1f},{pixel:.1f}H{x.end:.1f}"/>')
        parts.append(_number(x.start - 6, pixel + 4, label, "end"))
    for pixel, label in x.ticks():
        parts.append(f'<path class="rule" stroke-opacity="0.15" d="M{pixel:.1f},{y.start:.1f}V{y.end:.1f}"/>')
        parts.append(_number(pixel, y.start + 15, label, "middle"))
    parts.append(f'<path stroke-opacity="0.6" d="M{x.start:.1f},{y.start:.1f}H{x.end:.1f}"/>')
    if x_label:
        parts.append(_number(x.end, y.start + 15 + LINE_HEIGHT, x_label, "end"))
    return "\n".join([*parts, "</g>"])


def _number(x: Number, y: Number, text: str, anchor: str) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="currentColor" stroke="none">{escape(text)}</text>'
    )


def _bucket_starts(count: int, buckets: int) -> Int[np.ndarray, " starts"]:
    return np.unique(np.linspace(0, count, buckets, endpoint=False).astype(np.int64))


def _line(
    name: str, steps: Vector, values: Vector, *, log_y: bool
) -> tuple[Float[np.ndarray, " points"], Float[np.ndarray, " points"]]:
    steps, values = finite(steps), finite(values)
    if steps.shape != values.shape:
        raise ValueError(f"Series {name!r} has {len(steps)} steps but {len(values)} values.")
    return steps, np.where(values > 0, values, np.nan) if log_y else values


def _drawing(
    name: str,
    index: int,
    steps: Float[np.ndarray, " points"],
    values: Float[np.ndarray, " points"],
    *,
    x: Axis,
    y: Axis,
) -> str:
    kept_steps, kept_values = thinned(steps, values)
    raw = _path(x.place(kept_steps), y.place(kept_values))
    known = np.isfinite(kept_values)
    style = f"stroke:{colour(index)};fill:{colour(index)}"
    dash = ' stroke-dasharray="5 3"' if index >= len(PALETTE) else ""
    opening = (
        f'<g class="series" style="{style}" stroke-linejoin="round" data-name="{escape(name)}" '
        f'data-steps="{_joined(kept_steps[known])}" data-values="{_joined(kept_values[known])}">'
    )
    if len(values) < MANY_POINTS:
        return f'{opening}<g stroke-width="1.5"{dash}>{raw}</g></g>'
    # Averaging pixels rather than values is right for both kinds of axis.
    across, down = averaged(x.place(steps), y.place(values))
    return (
        f'{opening}<g class="raw" stroke-opacity="0.25" stroke-width="1">{raw}</g>'
        f'<g stroke-width="1.5"{dash}>{_path(across, smooth(down))}</g></g>'
    )


def _joined(values: Float[np.ndarray, " points"]) -> str:
    return " ".join(f"{value:.6g}" if abs(value) < 1e6 else f"{value:.9g}" for value in values.tolist())


def _path(x: Float[np.ndarray, " points"], y: Float[np.ndarray, " points"]) -> str:
    """Lines through runs of numbers, and dots for numbers alone between gaps."""
    lines, dots = [], []
    for run in _runs(np.isfinite(x) & np.isfinite(y)):
        points = [f"{a:.1f},{b:.1f}" for a, b in zip(x[run].tolist(), y[run].tolist(), strict=True)]
        if len(points) > 1:
            lines.append("M" + "L".join(points))
        else:
            across, down = points[0].split(",")
            dots.append(f'<circle cx="{across}" cy="{down}" r="2" stroke="none"/>')
    return (f'<path fill="none" d="{"".join(lines)}"/>' if lines else "") + "".join(dots)


def _runs(known: Bool[np.ndarray, " points"]) -> Iterator[slice]:
    edges = np.flatnonzero(np.diff(known.astype(np.int8), prepend=0, append=0))
    for start, stop in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
        yield slice(start, stop)
