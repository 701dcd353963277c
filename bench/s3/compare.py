"""Questions to a lake in S3, through DuckDB's httpfs and through copies on this machine. See bench/s3/run.

Prints a table: milliseconds of each way, and the bytes that httpfs moved. `--latency MS` puts so much delay before every
answer of the server, as another machine would.
"""

import argparse
import datetime
import hashlib
import hmac
import os
import pathlib
import shutil
import socket
import socketserver
import statistics
import subprocess
import tempfile
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
DUCKDB = ROOT / ".tools/duckdb/duckdb"
WEED = ROOT / ".tools/seaweedfs/weed"
KEY, SECRET, BUCKET = "bench-key", "bench-secret-0123456789", "columba"

QUESTIONS = {
    "count of everything": "select count(*) from r",
    "one day, by hour": "select hour(observed_at) h, count(*) from r where date = '2026-11-12' group by 1",
    "one drone, one day": "select count(*), max(observed_at) from r where date = '2026-11-12' and drone_id = 'pw-000042'",
    "one drone, all days": "select count(*), max(observed_at) from r where drone_id = 'pw-000042'",
    "word search, all days": "select count(*) from r where list_contains(words, 'w77')",
}


def pairs_of_ports(count):
    found, port = [], 12000
    while len(found) < count:
        port += 7
        try:
            for each in (port, port + 10000):
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", each))
            found.append(port)
        except OSError:
            pass
    return found


class Delay(socketserver.ThreadingTCPServer):
    """A TCP proxy that counts bytes and waits before each piece of an answer that follows a request."""

    allow_reuse_address = True
    daemon_threads = True
    moved = 0

    def __init__(self, target, seconds):
        super().__init__(("127.0.0.1", 0), Link)
        self.target, self.seconds = target, seconds


class Link(socketserver.BaseRequestHandler):
    def handle(self):
        with socket.create_connection(("127.0.0.1", self.server.target)) as upstream:
            asked = threading.Event()

            def requests():
                while data := self.request.recv(1 << 16):
                    asked.set()
                    upstream.sendall(data)
                try:
                    upstream.shutdown(socket.SHUT_WR)
                except OSError:
                    pass

            threading.Thread(target=requests, daemon=True).start()
            try:
                while data := upstream.recv(1 << 18):
                    if asked.is_set():
                        asked.clear()
                        time.sleep(self.server.seconds)
                    self.server.moved += len(data)
                    self.request.sendall(data)
            except OSError:
                pass


def duckdb(sql):
    start = time.perf_counter()
    done = subprocess.run([DUCKDB, "-batch", "-no-init", "-jsonlines"], input=sql, capture_output=True, text=True)
    seconds = time.perf_counter() - start
    if done.returncode or done.stderr:
        raise SystemExit(done.stderr)
    return seconds * 1000, done.stdout


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--latency", type=float, default=0.0)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--days", type=int, default=15)
    arguments = parser.parse_args()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="columba-bench-s3"))
    ports = pairs_of_ports(5)
    environment = {**os.environ, "AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET, "TMPDIR": str(folder)}
    weed = subprocess.Popen(
        [WEED, f"-logdir={folder}", "mini", f"-dir={folder}/weed", "-ip=127.0.0.1", "-ip.bind=127.0.0.1",
         f"-master.port={ports[0]}", f"-volume.port={ports[1]}", f"-filer.port={ports[2]}", f"-s3.port={ports[3]}",
         f"-admin.port={ports[4]}", "-s3.port.iceberg=0", "-s3.port.lance=0", "-webdav=false", "-admin.ui=false",
         "-master.telemetry=false", f"-bucket={BUCKET}"],
        env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=folder)
    try:
        run(arguments, folder, ports[3])
    finally:
        weed.kill()
        weed.wait()
        shutil.rmtree(folder, ignore_errors=True)


def run(arguments, folder, port):
    for _ in range(200):
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/")
        except urllib.error.HTTPError:
            break
        except OSError:
            time.sleep(0.1)
    time.sleep(1)
    extension = next(pathlib.Path(ROOT / ".tools/httpfs").rglob("httpfs.duckdb_extension"))
    link = Delay(port, arguments.latency / 1000)
    threading.Thread(target=link.serve_forever, daemon=True).start()
    common = "set threads=2; set memory_limit='1GiB'; set timezone='UTC';\n"

    def remote(server):
        return (f"load '{extension}';\n{common}create secret (type s3, key_id '{KEY}', secret '{SECRET}', "
                f"endpoint '127.0.0.1:{server}', use_ssl false, url_style 'path', region 'us-east-1');\n")

    days = [f"2026-11-{day + 1:02d}" for day in range(arguments.days)]
    files = []
    for day in days:
        name = f"date={day}/part.parquet"
        (folder / "lake" / f"date={day}").mkdir(parents=True)
        duckdb(f"""{common}copy (select 'pw-' || lpad((i % 500)::varchar, 6, '0') as drone_id, i as seq,
            timestamptz '{day} 00:00:00+00' + to_seconds(i * 86400 // {arguments.rows}) as observed_at,
            48 + random() as lat, 2 + random() as lon, list_transform(range(60), lambda x:
            'w' || floor(8000 * pow(random(), 3))::int) as words, random()::varchar || random()::varchar as digest
            from range({arguments.rows}) t(i) order by drone_id, observed_at)
            to '{folder}/lake/{name}' (format parquet, compression zstd, row_group_size 8192);""")
        files.append(name)
    put(folder, port, files)
    size = sum((folder / "lake" / name).stat().st_size for name in files)
    print(f"{len(files)} files of {size // len(files) / 1e6:.1f} MB, {arguments.rows} rows each; "
          f"{arguments.latency:g} ms before an answer")

    def view(prefix):
        names = ", ".join(f"'{prefix}/{name}'" for name in files)
        return f"create view r as from read_parquet([{names}], hive_partitioning=true, hive_types={{'date': DATE}});\n"

    fetch = []
    started = time.perf_counter()
    for name in files[:5]:
        fetch.append(get(link.server_address[1], name))
    fetched = time.perf_counter() - started
    print(f"fetching a file: {1000 * fetched / 5:.0f} ms ({sum(fetch) / fetched / 1e6:.0f} MB/s, one at a time)\n")
    print(f"{'':24}{'copies':>10}{'httpfs':>10}{'ratio':>8}{'httpfs moved':>15}")
    for title, sql in QUESTIONS.items():
        local = [duckdb(common + view(folder / "lake") + sql + ";") for _ in range(7)]
        link.moved = 0
        far = [duckdb(remote(link.server_address[1]) + view(f"s3://{BUCKET}/lake") + sql + ";") for _ in range(7)]
        # Making a secret prints a line of its own.
        answers = {text.removeprefix('{"Success":true}\n') for _, text in local + far}
        assert len(answers) == 1, answers
        here, there = (statistics.median(ms for ms, _ in runs) for runs in (local, far))
        print(f"{title:24}{here:7.0f} ms{there:7.0f} ms{there / here:8.1f}{link.moved / 7 / 1e6:12.2f} MB")


def signed(method, port, name, body=b""):
    """SigV4 by hand: nothing else here can write to S3."""
    path = urllib.parse.quote(f"/{BUCKET}/lake/{name}", safe="/-._~")
    now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    digest = hashlib.sha256(body).hexdigest()
    headers = {"host": f"127.0.0.1:{port}", "x-amz-content-sha256": digest, "x-amz-date": now}
    canonical = "\n".join([method, path, "", "".join(f"{k}:{v}\n" for k, v in headers.items()), ";".join(headers), digest])
    scope = f"{now[:8]}/us-east-1/s3/aws4_request"
    text = "\n".join(["AWS4-HMAC-SHA256", now, scope, hashlib.sha256(canonical.encode()).hexdigest()])
    key = ("AWS4" + SECRET).encode()
    for part in (now[:8], "us-east-1", "s3", "aws4_request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    headers["authorization"] = (f"AWS4-HMAC-SHA256 Credential={KEY}/{scope}, SignedHeaders={';'.join(list(headers))}, "
                                f"Signature={hmac.new(key, text.encode(), hashlib.sha256).hexdigest()}")
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", method=method, data=body or None, headers=headers)
    return urllib.request.urlopen(request).read()


def put(folder, port, files):
    for name in files:
        signed("PUT", port, name, (folder / "lake" / name).read_bytes())


def get(port, name):
    return len(signed("GET", port, name))


main()
