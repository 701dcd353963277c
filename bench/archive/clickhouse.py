"""The distribution's ClickHouse, in a server of its own on loopback; `fetch-clickhouse` unpacks it without installing.

Debian 12 has version 18.16 of 2018: no JSON type and no nested input, so the documents are taken apart by its own string
functions while they are loaded. What no question asks for is kept as text, so that the sizes can be compared.
"""

from __future__ import annotations

import os
import socket
import subprocess
import time
import urllib.request

from common import CELL, Clock, Corpus, Memory, measure, stop

NAME = "ClickHouse"
SETTINGS = (
    "the distribution's; MergeTree by day, sorted by cell, drone and time, zstd; OPTIMIZE FINAL before size and "
    "questions; percentiles by nearest rank (this version has no interpolated ones)")


def questions(corpus: Corpus) -> dict[str, str]:
    since, until = corpus.week
    return {
        "hours": "select toUInt32(toStartOfHour(observed_at)), count() from reports group by 1".replace(
            "group by 1", "group by toStartOfHour(observed_at)"),
        "track": f"select observed_ms, lat, lon from reports where drone_id = '{corpus.drone}' order by observed_ms",
        "word": f"select toUInt32(toDateTime(date)), count() from reports where date >= '{since}' and date < '{until}' "
                f"and has(words, '{corpus.word}') group by date",
        "cell_day": f"select drone_id, observed_ms, lat, lon from reports where date = '{corpus.day}' "
                    f"and gy = {corpus.gy} and gx = {corpus.gx} order by drone_id, observed_ms",
        "heat": "select toInt32(floor(lat * 100)) as y, toInt32(floor(lon * 100)) as x, count() from reports "
                "group by y, x",
        "scores": "select count(), quantileExact(0.1)(s), quantileExact(0.5)(s), quantileExact(0.9)(s) from "
                  "(select gy, gx, arrayJoin(scores) as s from reports) group by gy, gx",
        "top_words": "select word, count() as n from (select arrayJoin(words) as word from reports) group by word "
                     "order by n desc, word limit 20",
        "alerts": "select rule, severity, count(), uniqExact(drone_id) from alerts group by rule, severity",
    }


# Questions whose rows cannot be held against the others' (see SETTINGS): only how many there are.
ONLY_COUNTED = {"scores"}

TABLES = [
    """create table reports (date Date, observed_at DateTime, observed_ms UInt64, drone_id String, boot String, seq UInt64,
       lat Float64, lon Float64, alt_m Float64, gy UInt16, gx UInt16, names Array(String), scores Array(Float64),
       confidences Array(Float64), words Array(String), readings String, media String)
       engine = MergeTree partition by date order by (gy, gx, drone_id, observed_ms)""",
    """create table alerts (rule String, severity String, drone_id String, rest String)
       engine = MergeTree order by (rule, severity)""",
    "create table raw_reports (line String) engine = File(TSV)",
    "create table raw_alerts (line String) engine = File(TSV)",
]
LOADS = [
    f"""insert into reports select toDate(at) as date, at as observed_at,
       toUInt64(toUnixTimestamp(at)) * 1000 + toUInt64(substring(stamp, 21, 3)) as observed_ms,
       visitParamExtractString(line, 'drone_id'), visitParamExtractString(line, 'boot'),
       visitParamExtractUInt(line, 'seq'), visitParamExtractFloat(line, 'lat') as lat,
       visitParamExtractFloat(line, 'lon') as lon, visitParamExtractFloat(line, 'alt_m'),
       toUInt16(floor((lat + 90) / {CELL})), toUInt16(floor((lon + 180) / {CELL})),
       extractAll(line, '"name":"([^"]*)"'),
       arrayMap(x -> toFloat64(x), extractAll(line, '"peacescore":(-?[0-9.]+)')),
       arrayMap(x -> toFloat64(x), extractAll(line, '"confidence":([0-9.]+)')),
       extractAll(visitParamExtractRaw(line, 'words'), '"([^"]*)"'), visitParamExtractRaw(line, 'readings'),
       visitParamExtractRaw(line, 'media')
       from (select line, visitParamExtractString(line, 'observed_at') as stamp,
             toDateTime(concat(substring(stamp, 1, 10), ' ', substring(stamp, 12, 8))) as at from raw_reports)""",
    """insert into alerts select visitParamExtractString(line, 'rule'), visitParamExtractString(line, 'severity'),
       visitParamExtractString(line, 'drone_id'), line from raw_alerts""",
]

CONFIGURATION = """<yandex>
  <logger><level>warning</level><log>{d}/log</log><errorlog>{d}/errors</errorlog></logger>
  <http_port>{http}</http_port><tcp_port>{tcp}</tcp_port><listen_host>127.0.0.1</listen_host><timezone>UTC</timezone>
  <path>{d}/data/</path><tmp_path>{d}/tmp/</tmp_path><mark_cache_size>268435456</mark_cache_size>
  <users_config>{d}/users.xml</users_config><default_profile>default</default_profile>
  <default_database>default</default_database><max_concurrent_queries>10</max_concurrent_queries>
  <compression incl="none"><case><min_part_size>0</min_part_size><min_part_size_ratio>0</min_part_size_ratio>
    <method>zstd</method></case></compression>
</yandex>"""
USERS = """<yandex><profiles><default><max_memory_usage>4000000000</max_memory_usage><max_threads>{n}</max_threads>
  </default></profiles><quotas><default></default></quotas><users><default><password></password>
  <networks><ip>127.0.0.1</ip></networks><profile>default</profile><quota>default</quota></default></users></yandex>"""


class Server:
    def __init__(self, root: str, directory: str):
        self.root, self.directory = root, directory
        os.makedirs(f"{directory}/data")
        with socket.socket() as one, socket.socket() as other:
            one.bind(("127.0.0.1", 0))
            other.bind(("127.0.0.1", 0))
            self.http, tcp = one.getsockname()[1], other.getsockname()[1]
        with open(f"{directory}/config.xml", "w", encoding="utf-8") as file:
            file.write(CONFIGURATION.format(d=directory, http=self.http, tcp=tcp))
        with open(f"{directory}/users.xml", "w", encoding="utf-8") as file:
            file.write(USERS.format(n=os.cpu_count()))
        self.process: subprocess.Popen | None = None

    def start(self):
        libraries = f"{self.root}/usr/lib/x86_64-linux-gnu:{self.root}/lib/x86_64-linux-gnu"
        self.output = open(f"{self.directory}/output", "ab")
        self.process = subprocess.Popen(
            [f"{self.root}/usr/sbin/clickhouse-server", f"--config-file={self.directory}/config.xml"],
            cwd=self.directory, stdout=self.output, stderr=self.output, env=dict(os.environ, LD_LIBRARY_PATH=libraries))
        for _ in range(600):
            try:
                self.sql("select 1", 5)
                return
            except OSError:
                if self.process.poll() is not None:
                    break
                time.sleep(0.1)
        with open(f"{self.directory}/output", encoding="utf-8") as file:
            raise RuntimeError("ClickHouse did not start: " + file.read()[-2000:])

    def stop(self):
        if self.process:
            stop(self.process, seconds=60)
            self.process = None
            self.output.close()

    def sql(self, text: str, timeout: float) -> list[list]:
        request = urllib.request.Request(f"http://127.0.0.1:{self.http}/", data=text.encode())
        try:
            with urllib.request.urlopen(request, timeout=timeout) as answer:
                return [line.split("\t") for line in answer.read().decode().splitlines()]
        except urllib.error.HTTPError as error:
            raise RuntimeError("ClickHouse: " + error.read().decode()[:1000]) from error


def bench(corpus: Corpus, directory: str, root: str, clock: Clock) -> dict | str:
    if not os.path.exists(f"{root}/usr/sbin/clickhouse-server"):
        return "the distribution's package could not be fetched (bench/archive/fetch-clickhouse says why)"
    server = Server(root, directory)
    try:
        server.start()
        with Memory(server.process.pid) as memory:
            for statement in TABLES:
                server.sql(statement, clock.left())
            # A File table reads `data.TSV` in its folder.
            for table, path in (("raw_reports", corpus.raw), ("raw_alerts", corpus.alerts)):
                folder = f"{directory}/data/data/default/{table}"
                os.makedirs(folder, exist_ok=True)
                os.symlink(path, f"{folder}/data.TSV")
            started = time.monotonic()
            for statement in LOADS:
                server.sql(statement, clock.left())
            seconds = time.monotonic() - started
            started = time.monotonic()
            for (day,) in server.sql("select distinct partition from system.parts where table = 'reports' and active",
                                     clock.left()):
                server.sql(f"optimize table reports partition '{day}' final", clock.left())
            merging = time.monotonic() - started
            size = int(server.sql("select sum(bytes_on_disk) from system.parts where active and database = 'default'",
                                  clock.left())[0][0])
            sql = questions(corpus)
            answers = measure(lambda name, timeout: server.sql(sql[name], timeout), clock)
        version = server.sql("select version()", 10)[0][0]
        return {"load_s": seconds, "size": size, "peak": memory.peak, "queries": answers,
                "notes": [f"version {version}; merging took {merging:.1f} s more"]}
    finally:
        server.stop()
