#!/usr/bin/env python3
"""Splits the ACTG175 trial of the lifelines wheel between two hospitals: odd rows to one, even rows to the other."""
import pathlib
import sys
import zipfile


def split(text):
    """Two CSV texts with the same header; every row is in exactly one."""
    header, *rows = text.splitlines()
    return ["\n".join([header, *rows[start::2]]) + "\n" for start in (0, 1)]


def main(wheel, folder):
    with zipfile.ZipFile(wheel) as package:
        text = package.read("lifelines/datasets/ACTG175.csv").decode("utf-8")
    rows = len(text.splitlines()) - 1
    if rows != 2139:
        sys.exit(f"demo-data: the trial has {rows} rows, not 2,139: another file than expected")
    for name, half in zip(("hospital-a", "hospital-b"), split(text)):
        target = pathlib.Path(folder) / name / "actg175.csv"
        part = target.with_suffix(".part")
        part.write_text(half)
        part.rename(target)


if __name__ == "__main__":
    main(*sys.argv[1:])
