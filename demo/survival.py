#!/usr/bin/env python3
"""Merges km_survival evidence of several hospitals and draws Kaplan-Meier curves in the terminal.

The product-limit estimate over the buckets of the counts: S = product of (1 - events / at_risk). Sums of counts over hospitals are
the counts of all patients together, so the merged curve is the one that pooled rows would give with the same buckets.
Usage: survival.py EVIDENCE.json..."""
import json
import math
import os
import sys

NAMES = {"0": "zidovudine alone", "1": "zidovudine + didanosine", "2": "zidovudine + zalcitabine", "3": "didanosine alone"}
MARKS = ("●", "▲", "■", "◆")
PLAIN_MARKS = ("o", "+", "x", "*")
COLOURS = ("31", "32", "34", "35")


def merge(answers):
    """Adds counts; every answer must have the same bucket width and counts that fit together."""
    merged = {"bucket": answers[0]["bucket"], "patients": 0, "arms": {}}
    for answer in answers:
        if answer["bucket"] != merged["bucket"]:
            raise ValueError("answers of different bucket widths do not add up")
        merged["patients"] += answer["patients"]
        for name, arm in answer["arms"].items():
            check(arm)
            into = merged["arms"].setdefault(name, {"patients": 0, "at_risk": [], "events": []})
            into["patients"] += arm["patients"]
            for key in ("at_risk", "events"):
                into[key] += [0] * (len(arm[key]) - len(into[key]))
                for i, count in enumerate(arm[key]):
                    into[key][i] += count
    return merged


def check(arm):
    """A hospital's counts must be those of some patients."""
    at_risk, events = arm["at_risk"], arm["events"]
    counts = at_risk + events + [arm["patients"]]
    if len(at_risk) != len(events) or any(type(n) is not int or n < 0 for n in counts):
        raise ValueError("counts are not counts")
    if at_risk and at_risk[0] != arm["patients"]:
        raise ValueError("not every patient is at risk at the start")
    for i, n in enumerate(events):
        after = at_risk[i + 1] if i + 1 < len(at_risk) else 0
        if n + after > at_risk[i]:
            raise ValueError("more patients after a bucket than before it")


def curve(arm):
    """Survival at the end of each bucket."""
    survival, values = 1.0, []
    for at_risk, events in zip(arm["at_risk"], arm["events"]):
        if at_risk:
            survival *= 1 - events / at_risk
        values.append(survival)
    return values


def log_rank(arms):
    """Log-rank test of the first arm against all others pooled: (chi square of one degree of freedom, p)."""
    first, rest = arms[0], arms[1:]
    observed = expected = variance = 0.0
    at = lambda values, i: values[i] if i < len(values) else 0
    for i in range(max(len(arm["at_risk"]) for arm in arms)):
        n1, d1 = at(first["at_risk"], i), at(first["events"], i)
        n = n1 + sum(at(arm["at_risk"], i) for arm in rest)
        d = d1 + sum(at(arm["events"], i) for arm in rest)
        if n < 2:
            continue
        observed += d1
        expected += d * n1 / n
        variance += d * (n1 / n) * (1 - n1 / n) * (n - d) / (n - 1)
    if variance == 0:
        return 0.0, 1.0
    square = (observed - expected) ** 2 / variance
    return square, math.erfc(math.sqrt(square / 2))


def plain_terminal():
    encoding = (getattr(sys.stdout, "encoding", None) or "").lower().replace("-", "")
    return bool(os.environ.get("NO_COLOR")) or os.environ.get("TERM", "dumb") == "dumb" or encoding != "utf8"


def draw(merged, width=64, height=14, plain=None, colour=None):
    """The curves as text. `plain`: ASCII only (default: NO_COLOR, a dumb terminal, or no UTF-8)."""
    plain = plain_terminal() if plain is None else plain
    colour = (not plain and sys.stdout.isatty()) if colour is None else colour
    marks = PLAIN_MARKS if plain else MARKS
    paint = lambda text, i: f"\033[{COLOURS[i % 4]}m{text}\033[0m" if colour else text
    arms = sorted(merged["arms"].items())
    curves = [curve(arm) for _, arm in arms]
    if not any(curves):
        return "      (no patients)"
    buckets = max(map(len, curves))
    lowest = math.floor(min(min(values) for values in curves if values) * 10) / 10
    lowest = min(lowest, 0.9)
    grid = [[" "] * width for _ in range(height)]
    for i, values in reversed(list(enumerate(curves))):
        for column in range(width):
            at = column * buckets // width
            if at < len(values):
                row = round((1 - values[at]) / (1 - lowest) * (height - 1))
                grid[row][column] = paint(marks[i % 4], i)
    side, corner, floor = ("|", "+", "-") if plain else ("│", "└", "─")
    lines = []
    for row in range(height):
        label = f"{100 - (100 - 100 * lowest) * row / (height - 1):4.0f} %" if row % 3 == 0 or row == height - 1 else " " * 6
        lines.append(f"   {label} {side}" + "".join(grid[row]).rstrip())
    lines.append(" " * 10 + corner + floor * width)
    days = round(buckets * merged["bucket"])
    lines.append(" " * 11 + "0" + f"{days} days".rjust(width - 1))
    for i, (name, arm) in enumerate(arms):
        lines.append(f"      {paint(marks[i % 4], i)} {NAMES.get(name, name):<26} {arm['patients']:>5} patients {sum(arm['events']):>4} events"
                     f"   {100 * curves[i][-1]:5.1f} % without one at the end")
    if len(arms) > 1:
        square, p = log_rank([arm for _, arm in arms])
        lines.append(f"      log-rank, {NAMES.get(arms[0][0], arms[0][0])} against the rest: chi2 {square:.1f}, p {'< 0.0001' if p < 0.0001 else f'= {p:.4f}'}")
    return "\n".join(lines)


if __name__ == "__main__":
    print(draw(merge([json.load(open(path)) for path in sys.argv[1:]])))
