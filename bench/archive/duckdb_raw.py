"""DuckDB on the raw NDJSON: nothing is loaded, every question reads the file."""

from __future__ import annotations

import json
import subprocess

import columba
from common import Clock, Corpus, Memory, measure

NAME = "DuckDB on NDJSON"
SETTINGS = "the columns' types given (no sniffing), all cores, its own memory limit; a process for each question"


def views(corpus: Corpus) -> str:
    return f"""
        set timezone='UTC';
        create view reports as select drone_id, observed_at, observed_at::date as date, location.lat as lat,
          location.lon as lon, citizens, words,
          floor((location.lat + 90) / 0.0439453125)::int as gy, floor((location.lon + 180) / 0.0439453125)::int as gx
          from read_json('{corpus.raw}', format='newline_delimited', columns={{drone_id: 'VARCHAR',
          observed_at: 'TIMESTAMPTZ', location: 'STRUCT(lat DOUBLE, lon DOUBLE)',
          citizens: 'STRUCT(peacescore DOUBLE)[]', words: 'VARCHAR[]'}});
        create view alerts as select rule, severity, drone_id, 'alert' as kind from read_json('{corpus.alerts}',
          format='newline_delimited', columns={{rule: 'VARCHAR', severity: 'VARCHAR', drone_id: 'VARCHAR'}});
    """


def questions(corpus: Corpus) -> dict[str, str]:
    sql = columba.questions(corpus)
    sql["cell_day"] = sql["cell_day"].split(" and cell >=")[0] + (
        f" and gy = {corpus.gy} and gx = {corpus.gx} order by 1, 2")
    sql["scores"] = sql["scores"].replace("cell[1:5] as cell", "gy, gx").replace("group by cell", "group by gy, gx")
    return sql


def bench(corpus: Corpus, duckdb: str, clock: Clock) -> dict:
    sql, setup, peaks = questions(corpus), views(corpus), [0]

    def ask(name: str, timeout: float) -> list[list]:
        process = subprocess.Popen([duckdb, "-batch", "-no-init", "-bail", "-jsonlines"], stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        with Memory(process.pid) as memory:
            try:
                output, errors = process.communicate(f"{setup}\n{sql[name]};\n", timeout=timeout)
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()
                raise
        peaks[0] = max(peaks[0], memory.peak)
        if process.returncode or errors:
            raise RuntimeError(errors[-2000:])
        return [list(json.loads(line).values()) for line in output.splitlines()]

    answers = measure(ask, clock)
    return {"load_s": 0.0, "size": corpus.about["raw_bytes"], "peak": peaks[0], "queries": answers, "notes": []}
