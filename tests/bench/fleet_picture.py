# SPDX-License-Identifier: Apache-2.0
"""The picture of a fleet: a row for each policy, a column for each of its renewals."""

from array import array
from collections.abc import Iterator, Sequence
from xml.sax.saxutils import escape

from bench.fleet_figures import DAY_H, Story
from bench.fleet_simulation import HOURLY_PART
from tedge_cert.hourly.schedule import HOUR_S

# Measures in pixels.
LEFT, TOP, WIDTH, HEIGHT, GAP_X, GAP_Y = 70, 116, 330, 118, 22, 54
DAYS, STRIDE_H = 45, 3
SERVED, REFUSED, TROUBLE, LINE, TEXT, FAINT = "#2b6cb0", "#e07b39", "#d9d9d9", "#555555", "#222222", "#e6e6e6"
TITLES = ("First renewal", "Second: the tenant is out for a day", "Third: a third is cut off for ten days")


def draw(stories: Sequence[Story], devices: int) -> str:
    """Return the picture as SVG; every panel has the same axes."""
    limit = devices // HOURLY_PART
    width = LEFT + 3 * WIDTH + 2 * GAP_X + 20
    height = TOP + len(stories) * (HEIGHT + GAP_Y) - 20
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        'font-family="DejaVu Sans, Verdana, sans-serif" font-size="12">',
        f'<rect width="{width}" height="{height}" fill="white"/>',
        _text(LEFT, 24, f"Requests per hour at the authority, {devices:,} devices made in one week", 16, weight="bold"),
        *_legend(limit),
        *(_text(_left(column), TOP - 34, title, 13, weight="bold") for column, title in enumerate(TITLES)),
    ]
    for number, story in enumerate(stories):
        lines += _row(story, TOP + number * (HEIGHT + GAP_Y), limit)
    return "\n".join([*lines, "</svg>", ""])


def _legend(limit: int) -> Iterator[str]:
    words = (
        (SERVED, "certificate issued"),
        (REFUSED, f"refused: more than {limit:,} in an hour"),
        (TROUBLE, "out, or cut off"),
    )
    left = LEFT
    for colour, word in words:
        yield f'<rect x="{left}" y="42" width="12" height="12" fill="{colour}"/>'
        yield _text(left + 18, 52, word)
        left += 46 + 7 * len(word)


def _row(story: Story, top: float, limit: int) -> Iterator[str]:
    yield _text(LEFT, top - 8, story.name, 13, weight="bold")
    yield _text(LEFT + 20 + 8.5 * len(story.name), top - 8, story.words, 11, LINE)
    for column in range(3):
        yield from _panel(story, column, _left(column), top, limit)


def _left(column: int) -> float:
    return LEFT + column * (WIDTH + GAP_X)


def _panel(story: Story, column: int, left: float, top: float, limit: int) -> Iterator[str]:
    """One renewal; the highest value that is shown is two and a half times the limit."""
    most, bottom = limit * 2.5, top + HEIGHT
    begins = _begins(story, column)
    hours = slice(begins, begins + DAYS * DAY_H)
    per_hour = WIDTH / (DAYS * DAY_H)
    if column:
        trouble = story.troubles[column - 1]
        at = left + (trouble.begins_s / HOUR_S - begins) * per_hour
        wide = (trouble.ends_s - trouble.begins_s) / HOUR_S * per_hour
        yield f'<rect x="{at:.1f}" y="{top}" width="{wide:.1f}" height="{HEIGHT}" fill="{TROUBLE}"/>'
    for part in (0.5, 1, 1.5, 2, 2.5):
        at = bottom - HEIGHT * part / 2.5
        dashes = ' stroke-dasharray="4 3"' if part == 1 else ""
        colour = LINE if part == 1 else FAINT
        yield f'<path d="M{left} {at:.1f}h{WIDTH}" stroke="{colour}" stroke-width="0.8"{dashes}/>'
        if column == 0 and part in (1, 2):
            yield _text(left - 8, at + 4, f"{limit * part:,.0f}", 11, anchor="end")
    yield _area(story.history.hours[hours], left, bottom, most, REFUSED)
    yield _area(story.history.served[hours], left, bottom, most, SERVED)
    yield f'<path d="M{left} {top}v{HEIGHT}h{WIDTH}" fill="none" stroke="{LINE}"/>'
    yield from _days(left, bottom, column)
    yield from _overflow(story.history.hours[hours], left, top, most)


def _begins(story: Story, column: int) -> int:
    """The hour in which a panel begins: some before the first request, and before the trouble."""
    wave = next(hour for hour, count in enumerate(story.history.waves[column]) if count)
    return min(wave, int(story.troubles[column - 1].begins_s // HOUR_S) if column else wave) - DAY_H


def _area(hours: "array[int]", left: float, bottom: float, most: float, colour: str) -> str:
    """The highest hour of each few, as an area."""
    step = WIDTH / (DAYS * DAY_H) * STRIDE_H
    points, before = [f"M{left} {bottom:.0f}"], 0.0
    for at in range(0, len(hours), STRIDE_H):
        high = round(HEIGHT * min(max(hours[at : at + STRIDE_H]), most) / most, 1)
        if high != before:
            points.append(f"H{left + at / STRIDE_H * step:.1f}V{bottom - high:.1f}")
            before = high
    return f'<path d="{"".join(points)}H{left + WIDTH}V{bottom:.0f}Z" fill="{colour}"/>'


def _days(left: float, bottom: float, column: int) -> Iterator[str]:
    for day in range(0, DAYS + 1, 10):
        at = left + WIDTH * day / DAYS
        yield f'<path d="M{at:.1f} {bottom}v4" stroke="{LINE}"/>'
        yield _text(at, bottom + 16, f"{day}{' days' if day == 0 and column == 0 else ''}", 11, anchor="middle")


def _overflow(hours: "array[int]", left: float, top: float, most: float) -> Iterator[str]:
    """What is higher than the panel, in words."""
    peak = max(hours)
    if peak > most:
        last = max(hour for hour, count in enumerate(hours) if count > most)
        at = left + WIDTH * last / (DAYS * DAY_H)
        yield _text(at + 8, top + 13, f"↑ {peak:,}", 12, weight="bold")


def _text(
    x: float, y: float, words: str, size: int = 12, colour: str = TEXT, *, anchor: str = "start", weight: str = "normal"
) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" fill="{colour}" text-anchor="{anchor}" '
        f'font-weight="{weight}">{escape(words)}</text>'
    )
