"""What the engines of `make bench-archive` share: the questions, memory of a process tree, medians, the comparison."""

from __future__ import annotations

import os
import signal
import statistics
import subprocess
import threading
import time

# A geohash cell of five letters is exactly this many degrees high and wide.
CELL = 0.0439453125
REPEATS = 3

QUERIES = [
    ("hours", "hour histogram"), ("track", "one drone's track"), ("word", "a word in a week"),
    ("cell_day", "reports in one cell on one day"), ("heat", "heat map"), ("scores", "score percentiles by cell"),
    ("top_words", "top words"), ("alerts", "alerts by rule"),
]


class TimeIsUp(Exception):
    pass


class Clock:
    """The limit of the whole run."""

    def __init__(self, seconds: float):
        self.deadline = time.monotonic() + seconds

    def left(self) -> float:
        seconds = self.deadline - time.monotonic()
        if seconds <= 0:
            raise TimeIsUp("the time limit is over (BENCH_LIMIT_S)")
        return seconds


def stop(process: subprocess.Popen, signal_number: int = signal.SIGTERM, seconds: float = 120) -> None:
    """Ends a server, by force if it does not end by itself."""
    process.send_signal(signal_number)
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


class Memory:
    """The largest sum of what a process and all its children held at once. Shared pages count once (PSS)."""

    def __init__(self, *roots: int):
        self.roots, self.peak, self.stopped = roots, 0, threading.Event()
        self.thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stopped.set()
        self.thread.join()

    def _watch(self):
        while not self.stopped.wait(0.2):
            self.peak = max(self.peak, sum(_pss(pid) for root in self.roots for pid in _tree(root)))


def _tree(root: int) -> list[int]:
    parents: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", encoding="ascii", errors="replace") as file:
                    parents.setdefault(int(file.read().rsplit(") ", 1)[1].split()[1]), []).append(int(name))
            except (OSError, IndexError):
                pass
    found, waiting = [], [root]
    while waiting:
        pid = waiting.pop()
        found.append(pid)
        waiting += parents.get(pid, [])
    return found


def _pss(pid: int) -> int:
    try:
        with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
            return next(int(line.split()[1]) * 1024 for line in file if line.startswith("Pss:"))
    except (OSError, StopIteration):
        return 0


def measure(ask, clock: Clock) -> dict:
    """Each question three times: the median's seconds, and the rows of the last."""
    answers = {}
    for name, _ in QUERIES:
        seconds = []
        for _ in range(REPEATS):
            started = time.monotonic()
            rows = ask(name, clock.left())
            seconds.append(time.monotonic() - started)
        answers[name] = (statistics.median(seconds), rows)
    return answers


def size_of(path: str, ending: str = "") -> int:
    return sum(
        os.path.getsize(os.path.join(folder, name))
        for folder, _, names in os.walk(path) for name in names if name.endswith(ending))


def same(one: list[list], other: list[list]) -> bool:
    """Rows with numbers that agree to nine digits, in any order."""
    if len(one) != len(other):
        return False
    return all(
        len(a) == len(b) and all(_equal(x, y) for x, y in zip(a, b))
        for a, b in zip(sorted(one, key=_key), sorted(other, key=_key)))


def _number(value):
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


def _key(row):
    return [("", round(number, 6)) if (number := _number(value)) is not None else (str(value), 0) for value in row]


def _equal(one, other) -> bool:
    a, b = _number(one), _number(other)
    if a is None or b is None:
        return str(one) == str(other)
    return abs(a - b) <= 1e-9 * max(1.0, abs(a), abs(b))


def run(command: list[str], timeout: float, **more) -> str:
    done = subprocess.run(command, timeout=timeout, text=True, capture_output=True, check=False, **more)
    if done.returncode:
        raise RuntimeError(f"{command[0]} failed: {(done.stderr or done.stdout)[-2000:]}")
    return done.stdout


class Corpus:
    """The files, and what the questions are about: taken from the first report of the fourth day."""

    def __init__(self, directory: str):
        import datetime
        import json
        import math

        self.directory = directory
        with open(f"{directory}/corpus.json", encoding="utf-8") as file:
            self.about = json.load(file)
        self.raw = f"{directory}/reports.ndjson"
        self.alerts = f"{directory}/alerts.ndjson"
        first = datetime.date.fromisoformat(self.about["first_day"])
        self.day = (first + datetime.timedelta(days=3)).isoformat()
        self.next_day = (first + datetime.timedelta(days=4)).isoformat()
        self.week = ((first + datetime.timedelta(days=2)).isoformat(), (first + datetime.timedelta(days=9)).isoformat())
        counts: dict[str, int] = {}
        chosen = None
        with open(self.raw, encoding="utf-8") as file:
            size = os.path.getsize(self.raw)
            for line in file:
                report = json.loads(line)
                for word in report["words"]:
                    counts[word] = counts.get(word, 0) + 1
                if sum(counts.values()) > 200_000:
                    break
            file.seek(0)
            # Reports come in the order of their time: the fourth day begins after three tenths.
            with open(self.raw, "rb") as raw:
                raw.seek(size * 35 // 100)
                raw.readline()
                chosen = json.loads(raw.readline())
        self.drone = chosen["drone_id"]
        # Neither the commonest nor the rarest word.
        self.word = sorted(counts, key=lambda word: (-counts[word], word))[len(counts) // 2]
        self.gy = math.floor((chosen["location"]["lat"] + 90) / CELL)
        self.gx = math.floor((chosen["location"]["lon"] + 180) / CELL)
        self.cell = _geohash5(chosen["location"]["lat"], chosen["location"]["lon"])


def _geohash5(lat: float, lon: float) -> str:
    letters, bounds, bits = "0123456789bcdefghjkmnpqrstuvwxyz", [[-180.0, 180.0], [-90.0, 90.0]], 0
    for index in range(25):
        low, high = bounds[index % 2]
        value, middle = (lon, lat)[index % 2], (low + high) / 2
        bits = bits * 2 + (value >= middle)
        bounds[index % 2] = [middle, high] if value >= middle else [low, middle]
    return "".join(letters[(bits >> shift) & 31] for shift in (20, 15, 10, 5, 0))
