#!/usr/bin/env python3
"""Small synthetic data with the columns that the demo reads, always the same: patients of no trial, flights of no airline."""
import pathlib
import random
import sys


def patients(chance, count):
    rows = ["pidnum,age,cens,days,arms"]
    for number in range(count):
        arm = chance.randrange(4)
        event = chance.expovariate(1 / (2600 if arm == 0 else 4200))
        leaves = chance.uniform(300, 1200)
        rows.append(f"{10000 + number},{chance.randint(18, 70)},{int(event < leaves)},{int(min(event, leaves))},{arm}")
    return rows


def flights(chance, count):
    airports = ["ATL", "DFW", "LAX", "ORD", "PHX", "SEA", "JFK", "DEN"]
    rows = ["date,delay,distance,origin,destination"]
    for number in range(count):
        origin, destination = chance.sample(airports, 2)
        delay = round(chance.gauss(5 + 2 * airports.index(origin), 20))
        rows.append(f"2001-01-{1 + number * 31 // count:02},{delay},{chance.randint(200, 2700)},{origin},{destination}")
    return rows


def main(folder):
    folder = pathlib.Path(folder)
    chance = random.Random(175)
    header, *rows = patients(chance, 600)
    files = {"hospital-a/actg175.csv": [header, *rows[0::2]], "hospital-b/actg175.csv": [header, *rows[1::2]],
             "flights/flights-synthetic.csv": flights(chance, 20_000)}
    for name, lines in files.items():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
