"""Columba's archive as relays and analysts meet it: batches by HTTP, SQL by HTTP."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
import urllib.request

from common import Clock, Corpus, Memory, measure, size_of, stop

NAME = "Columba"
SETTINGS = "archive.max_wait_s 1, else defaults; sizes and questions after columba-central compact; a process of its own for each question"


def questions(corpus: Corpus) -> dict[str, str]:
    since, until = corpus.week
    return {
        "hours": "select epoch(date_trunc('hour', observed_at))::bigint as h, count(*) as n from reports group by 1",
        "track": f"select epoch_ms(observed_at) as t, lat, lon from reports where drone_id = '{corpus.drone}' "
                 "order by observed_at",
        "word": f"select epoch(date::timestamptz)::bigint as d, count(*) as n from reports where date >= '{since}' "
                f"and date < '{until}' and list_contains(words, '{corpus.word}') group by 1",
        "cell_day": f"select drone_id, epoch_ms(observed_at) as t, lat, lon from reports where date = '{corpus.day}' "
                    f"and cell >= '{corpus.cell}' and cell < '{corpus.cell}~' order by 1, 2",
        "heat": "select floor(lat * 100)::int as y, floor(lon * 100)::int as x, count(*) as n from reports "
                "group by 1, 2",
        "scores": "select n, q[1] as p10, q[2] as p50, q[3] as p90 from (select count(*) as n, "
                  "quantile_cont(c.peacescore, [0.1, 0.5, 0.9]) as q from (select cell[1:5] as cell, unnest(citizens) "
                  "as c from reports) group by cell)",
        "top_words": "select word, count(*) as n from (select unnest(words) as word from reports) group by 1 "
                     "order by n desc, word limit 20",
        "alerts": "select rule, severity, count(*) as n, count(distinct drone_id) as d from alerts "
                  "where kind = 'alert' group by 1, 2",
    }


class Columba:
    def __init__(self, programs: str, directory: str):
        self.programs, self.directory = programs, directory
        os.makedirs(directory)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        # Compaction is measured by itself, so central does not do it meanwhile.
        with open(f"{directory}/central.json5", "w", encoding="utf-8") as file:
            file.write(f'{{listen: "127.0.0.1:{self.port}", data_dir: "{directory}/central", '
                       'archive: {compact: false, max_wait_s: 1}, query: {timeout_s: 3600, max_rows: 10000000}}')
        self.process: subprocess.Popen | None = None

    def start(self):
        self.log = open(f"{self.directory}/central.log", "ab")
        self.process = subprocess.Popen(
            [f"{self.programs}/columba-central", "run", "--config", f"{self.directory}/central.json5"],
            stderr=self.log)
        for _ in range(1200):
            try:
                with urllib.request.urlopen(self.url + "/readyz", timeout=5):
                    return
            except OSError:
                if self.process.poll() is not None:
                    break
                time.sleep(0.05)
        with open(f"{self.directory}/central.log", encoding="utf-8") as file:
            raise RuntimeError("central did not start: " + file.read()[-2000:])

    def stop(self):
        if self.process:
            stop(self.process)
            self.process = None
            self.log.close()

    def ask(self, sql: str, timeout: float) -> list[list]:
        request = urllib.request.Request(
            self.url + "/v1/sql", data=json.dumps({"sql": sql}).encode(), headers={"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=timeout) as answer:
            body = json.load(answer)
        if body["truncated"]:
            raise RuntimeError("an answer was cut off")
        names = [column["name"] for column in body["columns"]]
        return [[row[name] for name in names] for row in body["rows"]]


def bench(corpus: Corpus, directory: str, programs: str, clock: Clock) -> dict:
    central = Columba(programs, directory)
    try:
        central.start()
        with Memory(central.process.pid) as memory:
            output = subprocess.run(
                [f"{programs}/columba-bench", "archive", "--central", central.url, "--from", corpus.directory],
                capture_output=True, text=True, timeout=clock.left(), check=True).stdout
        load = json.loads(output)["seconds"]
        central.stop()
        lake, vault = f"{directory}/central/lake", f"{directory}/central/vault"
        before = sum(size_of(f"{lake}/{name}", ".parquet") for name in ("reports", "alerts", "duplicates"))
        started = time.monotonic()
        compaction = subprocess.Popen(
            [f"{programs}/columba-central", "compact", "--config", f"{directory}/central.json5"],
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        with Memory(compaction.pid) as compacting:
            _, errors = compaction.communicate(timeout=clock.left())
        if compaction.returncode:
            raise RuntimeError(errors.decode()[-2000:])
        seconds = time.monotonic() - started
        central.start()
        status = json.load(urllib.request.urlopen(central.url + "/v1/status", timeout=60))
        sql = questions(corpus)
        with Memory(central.process.pid) as asking:
            answers = measure(lambda name, timeout: central.ask(sql[name], timeout), clock)
        # The live files; the replaced ones stay a day for readers. Names are in the vault: they are part of the data.
        size = status["archive"]["bytes"] + size_of(vault, ".parquet")
        return {
            "load_s": load, "size": size, "peak": max(memory.peak, asking.peak), "queries": answers,
            "notes": [
                f"as archived, before compaction: {before / 1e6:,.0f} MB; compaction took {seconds:.1f} s, at most "
                f"{compacting.peak >> 20} MiB",
                f"{corpus.about['reports'] / load:,.0f} reports/s archived, {memory.peak >> 20} MiB at most meanwhile",
            ],
        }
    finally:
        central.stop()
