# SPDX-License-Identifier: Apache-2.0
"""An answer: figures of every side, goals, and how they are written down.

Each side's figures are {"median", "min", "max", "values"} over the rounds. A goal has the text of the goal, the measured
value ("ratio"), and whether it was met.
"""
import json
import os
import statistics

from lib import machine, svg


def summarize(rounds):
    """[{figure: value}, one a round] -> {figure: {median, min, max, values}}"""
    figures = {}
    for figure in rounds[0]:
        values = [round_[figure] for round_ in rounds]
        figures[figure] = {"median": statistics.median(values), "min": min(values), "max": max(values), "values": values}
    return figures


class Answer:
    def __init__(self, question, title):
        self.question = question
        self.title = title
        self.figures = {}   # side -> figure -> summary
        self.commands = {}  # side -> command line
        self.goals = []
        self.notes = []     # how it was measured, for the reader of the JSON
        self.panels = []    # of the plot

    def add_rounds(self, rounds):
        for side, results in rounds.items():
            self.figures[side] = summarize(results)

    def median(self, side, figure):
        return self.figures[side][figure]["median"]

    def goal(self, text, ratio, at_least=None, at_most=None, unit=""):
        met = ratio >= at_least if at_least is not None else ratio <= at_most
        self.goals.append({"goal": text, "ratio": ratio, "met": met, "limit": at_least if at_most is None else at_most,
                           "unit": unit})

    def panel(self, title, unit, rows, higher_is_better=True, scale=1.0):
        """`rows`: (label, side, figure, kind); kind is "ours", "rival" or "limit"."""
        bars = []
        for label, side, figure, kind in rows:
            summary = self.figures[side][figure]
            bars.append(svg.Bar(label, *(summary[key] * scale for key in ("median", "min", "max")), kind))
        self.panels.append(svg.Panel(title, unit, bars, higher_is_better))

    # ---- on paper ----

    def as_json(self, bench):
        first = self.goals[0]
        return {
            "question": self.question, "title": self.title,
            "goal": first["goal"], "ratio": first["ratio"], "met": first["met"], "goals": self.goals,
            "rounds": bench.rounds, "seconds": bench.seconds, "figures": self.figures, "notes": self.notes,
            "machine": bench.machine, "commands": self.commands, "revision": bench.revision,
        }

    def write(self, bench):
        path = os.path.join(bench.out, self.question)
        with open(f"{path}.json", "w") as out:
            json.dump(self.as_json(bench), out, indent=1, allow_nan=False)
            out.write("\n")
        subtitle = f"median and range of {bench.rounds} rounds of {bench.seconds:g} s · {machine.one_line()} · {bench.revision}"
        with open(f"{path}.svg", "w") as out:
            out.write(svg.draw(f"{self.question}: {self.title}", subtitle, self.panels))

    def print(self):
        for side, figures in self.figures.items():
            for figure, summary in figures.items():
                print(f"  {side:34} {figure:26} {number(summary['median']):>10}   "
                      f"({number(summary['min'])} to {number(summary['max'])})")
        for goal in self.goals:
            print(f"  {'met    ' if goal['met'] else 'NOT met'}  {number(goal['ratio'])} {goal['unit']:6} {goal['goal']}", flush=True)


def number(value):
    """Three digits or so, whatever the size."""
    if value == 0 or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.2f}" if abs(value) >= 1 else f"{value:.3g}"
