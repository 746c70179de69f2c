# SPDX-License-Identifier: Apache-2.0
"""Bar charts as SVG, by hand: horizontal bars for medians, whiskers for ranges."""
import math
from collections import namedtuple
from xml.sax.saxutils import escape

Bar = namedtuple("Bar", "label median low high kind")
Panel = namedtuple("Panel", "title unit bars higher_is_better")

WIDTH, LABELS, RIGHT = 900, 300, 90
ROW, BAR, TOP, PANEL_HEAD, PANEL_FOOT = 26, 14, 78, 34, 40
COLOURS = {"ours": "#1f6fb4", "rival": "#d98a3d", "limit": "#8a9199"}
NAMES = {"ours": "Pellucid", "rival": "rival", "limit": "raw, by itself"}
FONT = 'font-family="Helvetica, Arial, sans-serif"'


def nice_step(span, num):
    """A step of 1, 2 or 5 times a power of ten that gives about `num` steps."""
    rough = span / num
    power = 10 ** math.floor(math.log10(rough))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough)


def label_of(value):
    if value == 0:
        return "0"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def text(x, y, what, size=12, anchor="start", fill="#333", weight="normal"):
    return (f'<text x="{x:.1f}" y="{y:.1f}" {FONT} font-size="{size}" text-anchor="{anchor}" fill="{fill}" '
            f'font-weight="{weight}">{escape(what)}</text>')


def line(x1, y1, x2, y2, colour, width=1.0):
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}" stroke-width="{width}"/>'


def draw_bar(bar, y, x_of):
    middle = y + ROW / 2
    low, high, end = x_of(bar.low), x_of(bar.high), x_of(bar.median)
    parts = [
        text(LABELS - 10, middle + 4, bar.label, anchor="end"),
        f'<rect x="{LABELS}" y="{middle - BAR / 2:.1f}" width="{max(end - LABELS, 1):.1f}" height="{BAR}" rx="2" '
        f'fill="{COLOURS[bar.kind]}"/>',
        line(low, middle, high, middle, "#222", 1.4),
        line(low, middle - 4, low, middle + 4, "#222", 1.4),
        line(high, middle - 4, high, middle + 4, "#222", 1.4),
        text(max(high, end) + 8, middle + 4, label_of(bar.median), weight="bold"),
    ]
    return parts


def draw_panel(panel, y):
    top = max(max(bar.high for bar in panel.bars), 1e-12)
    step = nice_step(top, 6)
    end = math.ceil(top / step - 1e-9) * step
    plot = WIDTH - LABELS - RIGHT
    height = ROW * len(panel.bars)

    def x_of(value):
        return LABELS + plot * value / end

    parts = [text(24, y + 16, panel.title, 14, weight="bold"),
             text(WIDTH - 24, y + 16, f"{panel.unit}, {'higher' if panel.higher_is_better else 'lower'} is better", 11,
                  "end", "#666")]
    y += PANEL_HEAD
    for i in range(round(end / step) + 1):
        x = x_of(i * step)
        parts += [line(x, y - 2, x, y + height + 2, "#e3e6e8"), text(x, y + height + 16, label_of(i * step), 10, "middle", "#777")]
    for bar in panel.bars:
        parts += draw_bar(bar, y, x_of)
        y += ROW
    return parts, y + PANEL_FOOT


def draw(title, subtitle, panels):
    """The whole picture as text."""
    parts = [text(24, 32, title, 18, weight="bold", fill="#111"), text(24, 52, subtitle, 10.5, fill="#666")]
    x = WIDTH - 24.0
    for kind in reversed([kind for kind in NAMES if any(bar.kind == kind for panel in panels for bar in panel.bars)]):
        x -= 8 * len(NAMES[kind]) + 22
        parts += [f'<rect x="{x:.1f}" y="22" width="12" height="12" rx="2" fill="{COLOURS[kind]}"/>',
                  text(x + 17, 32, NAMES[kind], 12)]
    y = TOP
    for panel in panels:
        drawn, y = draw_panel(panel, y)
        parts += drawn
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{y}" viewBox="0 0 {WIDTH} {y}">\n'
            f'<rect width="{WIDTH}" height="{y}" fill="white"/>\n' + "\n".join(parts) + "\n</svg>\n")
