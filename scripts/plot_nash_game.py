#!/usr/bin/env python3
"""Draws docs/nash_game.svg from the series that nash_game_series prints.

    build/release/tests/nash_game_series | scripts/plot_nash_game.py > docs/nash_game.svg

The same series gives the same bytes.
"""

import csv
import math
import sys

WIDTH = 860
LEFT, RIGHT = 80, 20  # margins of a panel
PANEL_HEIGHT = 250
TOP, GAP = 60, 70  # above the first panel; between panels, with the title of the next
POINTS_EVERY = 6  # rounds
STRETCH = 400  # rounds, as in nash_game_test.cc
RUNS = {  # in the order of drawing: label, colour
    "bradley_terry": ("Bradley-Terry scores, sigmoid loss", "#c0392b"),
    "dno_sampled": ("DNO, sampled pairs", "#9dc3e6"),
    "dno": ("DNO, exact win rates", "#1f4e79"),
}


def read_series(lines):
    """{run: [(round, distance, exploitability)]}"""
    series = {}
    for row in csv.DictReader(lines):
        point = (int(row["round"]), float(row["distance"]), float(row["exploitability"]))
        series.setdefault(row["run"], []).append(point)
    return series


class Panel:
    """One plot: rounds from left to right, a value on a logarithmic scale."""

    def __init__(self, top, rounds, low, high):
        self.top, self.rounds, self.low, self.high = top, rounds, low, high

    def x(self, round_number):
        return LEFT + (WIDTH - LEFT - RIGHT) * round_number / self.rounds

    def y(self, value):
        value = min(max(value, self.low), self.high)
        share = math.log(value / self.low) / math.log(self.high / self.low)
        return self.top + PANEL_HEIGHT * (1 - share)

    def path(self, points, style):
        steps = " ".join(f"{self.x(x):.1f},{self.y(y):.1f}" for x, y in points)
        return f'<polyline points="{steps}" fill="none" {style}/>'

    def axes(self, title, ticks):
        right, bottom = WIDTH - RIGHT, self.top + PANEL_HEIGHT
        parts = [text(LEFT, self.top - 10, title, 'font-weight="bold"')]
        for value in ticks:
            y = self.y(value)
            parts.append(f'<line x1="{LEFT}" y1="{y:.1f}" x2="{right}" y2="{y:.1f}" '
                         'stroke="#e4e4e4"/>')
            parts.append(text(LEFT - 8, y + 4, f"{value:g}", 'text-anchor="end"'))
        for x in range(0, self.rounds + 1, STRETCH):
            parts.append(f'<line x1="{self.x(x):.1f}" y1="{bottom}" x2="{self.x(x):.1f}" '
                         f'y2="{bottom + 5}" stroke="#555"/>')
            parts.append(text(self.x(x), bottom + 19, str(x), 'text-anchor="middle"'))
        parts.append(f'<rect x="{LEFT}" y="{self.top}" width="{right - LEFT}" '
                     f'height="{PANEL_HEIGHT}" fill="none" stroke="#555"/>')
        return parts


def text(x, y, content, style=""):
    return f'<text x="{x:.1f}" y="{y:.1f}" {style}>{content}</text>'


def legend():
    parts = []
    for i, (label, colour) in enumerate(reversed(list(RUNS.values()))):
        x = LEFT + 250 * i
        parts.append(f'<line x1="{x}" y1="20" x2="{x + 24}" y2="20" stroke="{colour}" '
                     'stroke-width="2.5"/>')
        parts.append(text(x + 30, 24, label))
    return parts


def curves(panel, series, column):
    parts = []
    for run, (_, colour) in RUNS.items():
        points = [(point[0], point[column]) for point in series[run][::POINTS_EVERY]]
        parts.append(panel.path(points, f'stroke="{colour}" stroke-width="1.6"'))
    return parts


def peaks(panel, points, column):
    """A bar at the highest value of each stretch after the first."""
    parts = []
    for start in range(STRETCH, len(points), STRETCH):
        peak = max(point[column] for point in points[start:start + STRETCH])
        parts.append(panel.path([(start, peak), (start + STRETCH, peak)],
                                'stroke="#1f4e79" stroke-width="1.2" stroke-dasharray="4 3"'))
    return parts


def draw(series):
    rounds = len(series["dno"])
    distance = Panel(TOP, rounds, 0.002, 1)
    exploitability = Panel(TOP + PANEL_HEIGHT + GAP, rounds, 0.001, 0.5)
    height = exploitability.top + PANEL_HEIGHT + 50
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
             f'width="{WIDTH}" height="{height}" font-family="sans-serif" font-size="13" '
             'fill="#222">',
             f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>']
    parts += legend()
    parts += distance.axes("Total variation between average policy and Nash equilibrium",
                           (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1))
    parts.append(distance.path([(0, 0.02), (rounds, 0.02)], 'stroke="#2e8b57" stroke-width="1.2"'))
    parts += curves(distance, series, 1)
    parts += exploitability.axes("Exploitability of the average policy; dashed: peaks of DNO",
                                 (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5))
    parts += curves(exploitability, series, 2)
    parts += peaks(exploitability, series["dno"], 2)
    parts.append(text(WIDTH / 2, height - 12, "rounds", 'text-anchor="middle"'))
    return "\n".join(parts + ["</svg>", ""])


if __name__ == "__main__":
    sys.stdout.write(draw(read_series(sys.stdin)))
