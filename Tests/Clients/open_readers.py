"""Reads a Delta table with delta-rs, Polars and PyArrow and holds every row against what SQL said.

open_readers.py TABLE_FOLDER ROWS.ndjson: the rows as DuckDB printed them, timestamps as microseconds. Prints one JSON
object: for each reader its rows and whether they are the same, and what is wrong with the types in the Parquet files.
"""

import datetime
import json
import sys

import deltalake
import polars
import pyarrow.parquet

EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
MICROSECOND = datetime.timedelta(microseconds=1)


def plain(value):
    """The same shape for the same value, whichever library it comes from."""
    if isinstance(value, datetime.datetime):
        aware = value if value.tzinfo else value.replace(tzinfo=datetime.timezone.utc)
        return (aware - EPOCH) // MICROSECOND
    if isinstance(value, datetime.date):
        return value.isoformat()
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value


def pairs(value):
    """A map: of a dictionary, of tuples or of structures."""
    if value is None:
        return None
    if isinstance(value, dict):
        return sorted([key, item] for key, item in value.items())
    return sorted([list(item.values()) if isinstance(item, dict) else list(item) for item in value])


def canonical(rows):
    result = []
    for row in rows:
        row = {key: plain(value) for key, value in row.items()}
        if "readings" in row:
            row["readings"] = pairs(row["readings"])
        result.append(json.dumps(row, sort_keys=True))
    return sorted(result)


def delta_rs(folder):
    answer = deltalake.QueryBuilder().register("t", deltalake.DeltaTable(folder)).execute("select * from t")
    table = answer.read_all() if hasattr(answer, "read_all") else answer
    return pyarrow.table(table).to_pylist()


def main():
    folder, path = sys.argv[1:]
    with open(path, encoding="utf-8") as lines:
        expected = canonical(json.loads(line) for line in lines)
    readers = {
        "delta-rs": delta_rs,
        "polars": lambda folder: polars.scan_delta(folder).collect().to_dicts(),
        "pyarrow": lambda folder: deltalake.DeltaTable(folder).to_pyarrow_dataset().to_table().to_pylist(),
    }
    result = {"readers": {}, "types": []}
    for name, read in readers.items():
        found = canonical(read(folder))
        first = next((pair for pair in zip(expected, found) if pair[0] != pair[1]), None)
        result["readers"][name] = {"rows": len(found), "same": found == expected, "difference": first}
    table = deltalake.DeltaTable(folder)
    result["version"] = table.version()
    result["txn"] = table.transaction_version("archiver-p00")
    for file in table.file_uris():
        schema = pyarrow.parquet.read_schema(file.removeprefix("file://"))
        for field in schema:
            text = str(field.type)
            if "timestamp" in text and text != "timestamp[us, tz=UTC]" or "ns" in text.split("["):
                result["types"].append(f"{field.name}: {text}")
    print(json.dumps(result))


main()
