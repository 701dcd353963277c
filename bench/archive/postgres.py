"""PostgreSQL with jsonb, in a cluster of its own on loopback."""

from __future__ import annotations

import glob
import os
import pwd
import shutil
import signal
import socket
import subprocess
import time

from common import CELL, Clock, Corpus, Memory, measure, run, stop

NAME = "PostgreSQL jsonb"
SETTINGS = (
    "shared_buffers 1 GB, work_mem 64 MB, maintenance_work_mem 512 MB, wal_level minimal, synchronous_commit off, "
    "lz4 for TOAST, 1 parallel worker; typed columns beside the document; B-trees on (drone_id, observed_at) and "
    "(gy, gx, observed_at), GIN (jsonb_path_ops) on the words, BRIN on the time")


def find() -> str | None:
    """The folder of the newest PostgreSQL's programs."""
    folders = sorted(glob.glob("/usr/lib/postgresql/*/bin"), key=lambda path: int(path.split("/")[-2]))
    if folders:
        return folders[-1]
    found = shutil.which("initdb")
    return os.path.dirname(os.path.realpath(found)) if found else None


def questions(corpus: Corpus) -> dict[str, str]:
    since, until = corpus.week
    return {
        "hours": "select extract(epoch from date_trunc('hour', observed_at))::bigint, count(*) from reports group by 1",
        "track": "select (extract(epoch from observed_at) * 1000)::bigint, lat, lon from reports "
                 f"where drone_id = '{corpus.drone}' order by observed_at",
        "word": "select extract(epoch from date_trunc('day', observed_at))::bigint, count(*) from reports "
                f"where observed_at >= '{since}' and observed_at < '{until}' "
                f"and body->'words' @> '[\"{corpus.word}\"]' group by 1",
        "cell_day": "select drone_id, (extract(epoch from observed_at) * 1000)::bigint, lat, lon from reports "
                    f"where observed_at >= '{corpus.day}' and observed_at < '{corpus.next_day}' "
                    f"and gy = {corpus.gy} and gx = {corpus.gx} order by 1, 2",
        "heat": "select floor(lat * 100)::int, floor(lon * 100)::int, count(*) from reports group by 1, 2",
        "scores": "select count(*), percentile_cont(0.1) within group (order by s), percentile_cont(0.5) within group "
                  "(order by s), percentile_cont(0.9) within group (order by s) from (select gy, gx, "
                  "(jsonb_array_elements(body->'citizens')->>'peacescore')::float8 as s from reports) as c "
                  "group by gy, gx",
        "top_words": "select word, count(*) as n from (select jsonb_array_elements_text(body->'words') as word "
                     "from reports) as w group by 1 order by n desc, word collate \"C\" limit 20",
        "alerts": "select body->>'rule', body->>'severity', count(*), count(distinct body->>'drone_id') from alerts "
                  "group by 1, 2",
    }


def load(corpus: Corpus) -> str:
    # One column, whatever is in the line: no character of it is a quote or a delimiter.
    raw = "with (format csv, quote E'\\x01', delimiter E'\\x02')"
    return f"""
        create unlogged table staging (body jsonb);
        copy staging from '{corpus.raw}' {raw};
        create table reports as select body->>'drone_id' as drone_id,
          (body->>'observed_at')::timestamptz as observed_at, lat, lon,
          floor((lat + 90) / {CELL})::int as gy, floor((lon + 180) / {CELL})::int as gx, body
          from (select body, (body->'location'->>'lat')::float8 as lat, (body->'location'->>'lon')::float8 as lon
                from staging) as s;
        drop table staging;
        create table alerts (body jsonb);
        copy alerts from '{corpus.alerts}' {raw};
        create index on reports (drone_id, observed_at);
        create index on reports (gy, gx, observed_at);
        create index on reports using gin ((body->'words') jsonb_path_ops);
        create index on reports using brin (observed_at);
        vacuum analyze reports;
        vacuum analyze alerts;
    """


class Cluster:
    def __init__(self, binaries: str, directory: str):
        self.binaries, self.directory = binaries, directory
        os.makedirs(directory)
        # PostgreSQL refuses to run as root.
        self.user = None
        if os.getuid() == 0:
            self.user = pwd.getpwnam("postgres" if _exists("postgres") else "nobody")
            os.chown(directory, self.user.pw_uid, self.user.pw_gid)
            _open_way(directory)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.process: subprocess.Popen | None = None

    def _as(self, command: list[str]) -> list[str]:
        if not self.user:
            return command
        return ["setpriv", f"--reuid={self.user.pw_uid}", f"--regid={self.user.pw_gid}", "--clear-groups", *command]

    def start(self, timeout: float):
        data = f"{self.directory}/data"
        run(self._as([f"{self.binaries}/initdb", "-D", data, "-U", "bench", "-E", "UTF8", "--locale=C.UTF-8", "-A",
                      "trust"]), timeout, cwd=self.directory)
        settings = {
            "listen_addresses": "127.0.0.1", "unix_socket_directories": "", "shared_buffers": "1GB",
            "work_mem": "64MB", "maintenance_work_mem": "512MB", "wal_level": "minimal", "max_wal_senders": "0",
            "max_wal_size": "4GB", "checkpoint_timeout": "30min", "synchronous_commit": "off",
            "default_toast_compression": "lz4", "max_parallel_workers_per_gather": "1", "timezone": "UTC",
            "max_parallel_maintenance_workers": "1", "jit": "off", "effective_cache_size": "4GB",
        }
        options = [part for key, value in settings.items() for part in ("-c", f"{key}={value}")]
        self.log = open(f"{self.directory}/server.log", "ab")
        self.process = subprocess.Popen(
            self._as([f"{self.binaries}/postgres", "-D", data, "-p", str(self.port), *options]), cwd=self.directory,
            stdout=self.log, stderr=self.log)
        for _ in range(600):
            if subprocess.run([f"{self.binaries}/pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.port)],
                              check=False).returncode == 0:
                return
            if self.process.poll() is not None:
                break
            time.sleep(0.1)
        with open(f"{self.directory}/server.log", encoding="utf-8") as file:
            raise RuntimeError("PostgreSQL did not start: " + file.read()[-2000:])

    def stop(self):
        if self.process:
            stop(self.process, signal.SIGINT)  # fast shutdown
            self.process = None
            self.log.close()

    def sql(self, text: str, timeout: float) -> list[list]:
        output = run([f"{self.binaries}/psql", "-X", "-q", "-A", "-t", "-F", "\t", "-v", "ON_ERROR_STOP=1", "-h",
                      "127.0.0.1", "-p", str(self.port), "-U", "bench", "-d", "postgres", "-c", text]
                     if ";" not in text else
                     [f"{self.binaries}/psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-p",
                      str(self.port), "-U", "bench", "-d", "postgres", "-f", "-"], timeout,
                     **({"input": text} if ";" in text else {}))
        return [line.split("\t") for line in output.splitlines() if line]


def _exists(user: str) -> bool:
    try:
        pwd.getpwnam(user)
        return True
    except KeyError:
        return False


def _open_way(path: str):
    """Lets the server's user reach its folder."""
    while path != "/":
        path = os.path.dirname(path)
        mode = os.stat(path).st_mode
        if not mode & 0o001:
            raise RuntimeError(f"{path} is closed to other users, so PostgreSQL cannot reach its data; set BENCH_DIR")


def bench(corpus: Corpus, directory: str, clock: Clock) -> dict | str:
    binaries = find()
    if not binaries:
        return "not installed (apt install postgresql-15)"
    for name in ("reports.ndjson", "alerts.ndjson"):
        os.chmod(f"{corpus.directory}/{name}", 0o644)
    cluster = Cluster(binaries, directory)
    try:
        cluster.start(clock.left())
        with Memory(cluster.process.pid) as memory:
            started = time.monotonic()
            cluster.sql(load(corpus), clock.left())
            seconds = time.monotonic() - started
            total, heap = (
                int(value) for value in cluster.sql(
                    "select sum(pg_total_relation_size(t)), sum(pg_table_size(t)) from "
                    "unnest(array['reports'::regclass, 'alerts']) as t", clock.left())[0])
            sql = questions(corpus)
            answers = measure(lambda name, timeout: cluster.sql(sql[name], timeout), clock)
        version = run([f"{binaries}/postgres", "--version"], 10).strip()
        return {"load_s": seconds, "size": total, "peak": memory.peak, "queries": answers,
                "notes": [f"{version}; tables without indexes {heap / 1e6:,.0f} MB"]}
    finally:
        cluster.stop()
