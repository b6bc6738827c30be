#!/usr/bin/env python3
"""Writes flights-3m.parquet of the npm package vega-datasets as CSV. Needs pyarrow."""
import io
import os
import sys
import tarfile

import pyarrow.csv
import pyarrow.parquet


def main(package, target):
    with tarfile.open(package) as archive:
        parquet = archive.extractfile("package/data/flights-3m.parquet").read()
    table = pyarrow.parquet.read_table(io.BytesIO(parquet))
    table = table.rename_columns([name.lower() for name in table.column_names])
    part = target + ".part"
    pyarrow.csv.write_csv(table, part, pyarrow.csv.WriteOptions(quoting_style="needed"))
    os.replace(part, target)


if __name__ == "__main__":
    main(*sys.argv[1:])
