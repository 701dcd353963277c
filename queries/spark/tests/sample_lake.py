"""Makes a lake as years of Columba would leave it, in small: compacted days whose old files still lie about, a file of
a crash, a checkpoint by delta-rs with the versions before it gone, a file outside its day's folder.

The rows are also written as `truth.ndjson`, which knows nothing of tables: what jobs find is held against that.
"""

from __future__ import annotations

import datetime
import json
import os
import random
import subprocess

WEEKS = 5
FIRST_DAY = datetime.date(2026, 9, 30)  # a Wednesday, so that weeks begin inside the data
PLACES = ["u09tvw", "u09tvm", "u09wj8", "gcpvj0", "u33dc1"]
WORDS = ["market", "rain", "music", "bread", "train", "school", "garden", "bridge", "coffee", "snow", "naïve", "a|b"]

FIELDS = [
    ("date", "date"), ("drone_id", "string"), ("boot", "string"), ("seq", "long"), ("observed_at", "timestamp"),
    ("received_at", "timestamp"), ("archived_at", "timestamp"), ("relay_id", "string"), ("epoch", "string"),
    ("relay_seq", "long"), ("lat", "double"), ("lon", "double"), ("alt_m", "double"), ("cell", "string"),
    ("citizens", [("person_id", "string"), ("peacescore", "double"), ("confidence", "double")]),
    ("words", ["string"]), ("readings", {"string": "double"}),
    ("media", [("uri", "string"), ("sha256", "string"), ("bytes", "long"), ("type", "string")]),
    ("extra", "string"), ("digest", "string"), ("time_suspect", "boolean"), ("late", "boolean"),
]
DUCKDB = {"date": "DATE", "string": "VARCHAR", "long": "BIGINT", "double": "DOUBLE", "timestamp": "TIMESTAMPTZ",
          "boolean": "BOOLEAN"}


def delta_type(kind):
    if isinstance(kind, str):
        return kind
    if isinstance(kind, dict):
        (key, value), = kind.items()
        return {"type": "map", "keyType": key, "valueType": value, "valueContainsNull": True}
    element = kind[0] if isinstance(kind[0], str) else structure(kind)
    return {"type": "array", "elementType": element, "containsNull": True}


def structure(fields):
    return {"type": "struct", "fields": [
        {"name": name, "type": delta_type(kind), "nullable": True, "metadata": {}} for name, kind in fields]}


def duckdb_type(kind):
    if isinstance(kind, str):
        return DUCKDB[kind]
    if isinstance(kind, dict):
        (key, value), = kind.items()
        return f"MAP({DUCKDB[key]}, {DUCKDB[value]})"
    if isinstance(kind[0], str):
        return DUCKDB[kind[0]] + "[]"
    return "STRUCT(" + ", ".join(f'"{name}" {DUCKDB[one]}' for name, one in kind) + ")[]"


def duckdb(program: str, sql: str) -> list[dict]:
    script = "set timezone='UTC';\n" + sql
    done = subprocess.run([program, "-batch", "-no-init", "-bail", "-jsonlines"], input=script, text=True,
                          capture_output=True, check=False)
    if done.returncode or done.stderr:
        raise RuntimeError(done.stderr or f"duckdb ended with {done.returncode}")
    return [json.loads(line) for line in done.stdout.splitlines()]


def reports(seed: int, count: int):
    draw = random.Random(seed)
    start = datetime.datetime.combine(FIRST_DAY, datetime.time(), datetime.timezone.utc)
    for number in range(count):
        observed = start + datetime.timedelta(
            microseconds=draw.randrange(WEEKS * 7 * 86_400_000_000))
        late = draw.random() < 0.03
        received = observed + datetime.timedelta(microseconds=draw.randrange(400_000_000, 900_000_000)
                                                 if late else draw.randrange(1, 5_000_000))
        suspect = draw.random() < 0.01
        week = (observed.date() - FIRST_DAY).days // 7
        place = draw.choice(PLACES)
        # One place changes over the weeks; another one has too few persons to be spoken of.
        people = range(3) if place == "u33dc1" else range(60)
        centre = 50 + (6 * week if place == "u09tvw" else 0)
        citizens = [
            {"person_id": f"{draw.choice(people):032x}", "peacescore": round(draw.gauss(centre, 12), 3),
             "confidence": round(draw.random(), 2)} for _ in range(draw.randrange(4))]
        words = [draw.choice(WORDS) for _ in range(draw.randrange(6))]
        if week == WEEKS - 1 and draw.random() < 0.3:
            words.append("festival")
        if draw.random() < 0.001:
            words.append("rare")
        shown = observed - datetime.timedelta(days=400) if suspect else observed
        yield {
            "date": (received if suspect else observed).date().isoformat(), "drone_id": f"pw-{draw.randrange(30):06d}",
            "boot": "b1", "seq": number + 1, "observed_at": stamp(shown), "received_at": stamp(received),
            "archived_at": stamp(received + datetime.timedelta(seconds=3)), "relay_id": f"relay-{number % 3}",
            "epoch": "0" * 32, "relay_seq": number + 1, "lat": draw.uniform(48, 49), "lon": draw.uniform(2, 3),
            "alt_m": None, "cell": place + draw.choice("0123456789"), "citizens": citizens, "words": words,
            "readings": {"battery_pct": float(draw.randrange(100))}, "media": [], "extra": None,
            "digest": f"{number:064x}", "time_suspect": suspect, "late": late,
        }


def stamp(moment: datetime.datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


class SampleLake:
    def __init__(self, folder: str, duckdb_program: str, delta_python: str, seed: int = 1, count: int = 6_000):
        self.folder, self.program = folder, duckdb_program
        self.table = os.path.join(folder, "lake", "reports")
        self.truth = os.path.join(folder, "truth.ndjson")
        self.version = -1
        os.makedirs(os.path.join(self.table, "_delta_log"))
        rows = list(reports(seed, count))
        with open(self.truth, "w", encoding="utf-8") as file:
            file.writelines(json.dumps(row) + "\n" for row in rows)
        self.days = sorted({row["date"] for row in rows})
        self._commit(
            {"protocol": {"minReaderVersion": 1, "minWriterVersion": 2}},
            {"metaData": {"id": "sample", "format": {"provider": "parquet", "options": {}},
                          "schemaString": json.dumps(structure(FIELDS)), "partitionColumns": ["date"],
                          "configuration": {}, "createdTime": 0}})
        halves = {day: [self._write(day, f"half-{half}", half) for half in (0, 1)] for day in self.days}
        for adds in halves.values():
            self._commit(*({"add": add} for add in adds))
        middle = len(self.days) // 2
        for day in self.days[:middle]:
            self._compact(day, halves[day], f"date={day}/compacted.parquet")
        # delta-rs writes the checkpoint, so that not the same hands wrote and read it; the versions before it go.
        subprocess.run([delta_python, "-c",
                        f"from deltalake import DeltaTable; DeltaTable({self.table!r}).create_checkpoint()"], check=True)
        for version in range(self.version):
            os.unlink(self._log(version))
        # After the checkpoint: more compactions, one of them into a folder that does not name the day.
        for day in self.days[middle:-2]:
            self._compact(day, halves[day], f"date={day}/compacted%20later.parquet")
        day = self.days[-1]
        self._compact(day, halves[day], "elsewhere/last.parquet")
        # What a crash left: it is in the folder, and in no version.
        self._write(self.days[0], "orphan", None)

    def _log(self, version: int) -> str:
        return os.path.join(self.table, "_delta_log", f"{version:020d}.json")

    def _commit(self, *actions: dict) -> None:
        self.version += 1
        with open(self._log(self.version), "x", encoding="utf-8") as file:
            file.writelines(json.dumps(action) + "\n" for action in actions)

    def source(self) -> str:
        columns = ", ".join(f"{name}: '{duckdb_type(kind)}'" for name, kind in FIELDS)
        return f"read_json('{self.truth}', format='newline_delimited', columns={{{columns}}})"

    def sql(self, text: str) -> list[dict]:
        """DuckDB's answer over the truth, as the view `reports`."""
        return duckdb(self.program, f"create temp view reports as select * from {self.source()};\n{text};")

    def _write(self, day: str, name: str, half: int | None) -> dict:
        return self._write_to(day, f"date={day}/{name}.parquet", half)

    def _write_to(self, day: str, encoded: str, half: int | None) -> dict:
        path = os.path.join(self.table, encoded.replace("%20", " "))
        os.makedirs(os.path.dirname(path), exist_ok=True)
        condition = "" if half is None else f" and seq % 2 = {half}"
        duckdb(self.program,
               f"copy (select * exclude (date) from {self.source()} where date = '{day}'{condition} "
               f"order by cell, drone_id, observed_at) to '{path}' (format parquet, compression zstd);")
        return {"path": encoded, "partitionValues": {"date": day}, "size": os.path.getsize(path),
                "modificationTime": 0, "dataChange": True}

    def _compact(self, day: str, old: list[dict], encoded: str) -> None:
        add = dict(self._write_to(day, encoded, None), dataChange=False)
        removes = ({"remove": {"path": one["path"], "deletionTimestamp": 0, "dataChange": False}} for one in old)
        self._commit(*removes, {"add": add})
