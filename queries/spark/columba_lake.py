"""Columba's lake for PySpark: reads and writes its Delta tables without a Delta jar.

Which Parquet files belong to a table is decided by its log (`_delta_log`), never by its folder: the folder also holds
what a crash left behind and what a compaction has replaced, and reading it would count reports twice.

    session = columba_lake.session("my-job")
    lake = columba_lake.Lake.open("/srv/columba/lake")          # or s3://bucket/prefix
    reports = lake.table("reports").read(session, since="2026-11-01")
    …
    lake.derived("my_table").overwrite(session, frame, application="spark-my_table", source_version=reports_version)

Guarantees of a write: the files are complete before the log names them; a version is written put-if-absent, so of two
writers one wins and the other tries again on top; the commit holds `txn` (application, source version), so that a run
repeated after a crash changes nothing. Central shows `<lake>/derived/<name>` to SQL as `derived.<name>`.

Needs only the standard library and PySpark; `boto3` as well for s3:// addresses.
"""

from __future__ import annotations

import json
import os
import re
import time
import uuid
from dataclasses import dataclass, field
from typing import Callable, Iterable, Iterator
from urllib.parse import quote, unquote

# What this module understands of Delta. Anything newer (deletion vectors, column mapping, …) is refused, not misread.
READER_VERSION = 1
WRITER_VERSION = 2
TABLE_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
COLUMN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
MAX_COMMIT_ATTEMPTS = 50
LOG_FILE = re.compile(r"(\d{20})\.(?:json|checkpoint\.parquet|checkpoint\.(\d{10})\.(\d{10})\.parquet)")


class LakeError(Exception):
    """What is wrong with a lake, and what to do about it."""


# -- Where the bytes are ------------------------------------------------------------------------------------------------


class LocalStore:
    """A directory, or a mounted bucket. Writing needs hard links, which mounts of object stores often lack."""

    def __init__(self, root: str):
        self.root = os.path.abspath(root)

    def address(self, key: str) -> str:
        return "file://" + _unglobbed(os.path.join(self.root, key))

    def get(self, key: str) -> bytes | None:
        try:
            with open(os.path.join(self.root, key), "rb") as file:
                return file.read()
        except FileNotFoundError:
            return None

    def list(self, prefix: str) -> list[tuple[str, int]]:
        """Keys under a folder and their sizes."""
        found = []
        for folder, _, names in os.walk(os.path.join(self.root, prefix)):
            for name in names:
                path = os.path.join(folder, name)
                try:
                    found.append((os.path.relpath(path, self.root), os.path.getsize(path)))
                except FileNotFoundError:
                    pass  # removed between the listing and the look
        return sorted(found)

    def put_if_absent(self, key: str, data: bytes) -> bool:
        """Of several writers of one key exactly one gets True. Durable on return."""
        path = os.path.join(self.root, key)
        folder = os.path.dirname(path)
        os.makedirs(folder, exist_ok=True)
        temporary = os.path.join(folder, f".{uuid.uuid4().hex}.tmp")
        try:
            with open(temporary, "xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            try:
                os.link(temporary, path)
            except FileExistsError:
                return False
            self._sync(folder)
            return True
        finally:
            os.unlink(temporary)

    def settle(self, keys: Iterable[str]) -> None:
        """Makes files that Spark wrote durable, before the log names them."""
        folders = set()
        for key in keys:
            path = os.path.join(self.root, key)
            descriptor = os.open(path, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            folder = os.path.dirname(path)
            while len(folder) >= len(self.root):
                folders.add(folder)
                folder = os.path.dirname(folder)
        for folder in folders:
            self._sync(folder)

    @staticmethod
    def _sync(folder: str) -> None:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


class S3Store:
    """A bucket. Credentials and region as boto3 finds them; another endpoint: AWS_ENDPOINT_URL."""

    def __init__(self, bucket: str, prefix: str, client=None, scheme: str = "s3a"):
        if client is None:
            try:
                import boto3
            except ImportError as error:
                raise LakeError("s3:// addresses need boto3: pip install boto3") from error
            client = boto3.client("s3")
        self.bucket, self.prefix, self.client, self.scheme = bucket, prefix.strip("/"), client, scheme

    def _key(self, key: str) -> str:
        return f"{self.prefix}/{key}" if self.prefix else key

    def address(self, key: str) -> str:
        return f"{self.scheme}://{self.bucket}/{_unglobbed(self._key(key))}"

    def get(self, key: str) -> bytes | None:
        try:
            return self.client.get_object(Bucket=self.bucket, Key=self._key(key))["Body"].read()
        except Exception as error:
            if _code(error) in ("NoSuchKey", "404"):
                return None
            raise

    def list(self, prefix: str) -> list[tuple[str, int]]:
        start, found = self._key(prefix).rstrip("/") + "/", []
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=start)
        strip = len(self.prefix) + 1 if self.prefix else 0
        for page in pages:
            found += [(item["Key"][strip:], item["Size"]) for item in page.get("Contents", [])]
        return sorted(found)

    def put_if_absent(self, key: str, data: bytes) -> bool:
        """A conditional PUT. After an error of the network the answer is unknown: then our own bytes decide."""
        try:
            self.client.put_object(Bucket=self.bucket, Key=self._key(key), Body=data, IfNoneMatch="*")
            return True
        except Exception as error:
            if _code(error) in ("PreconditionFailed", "412", "ConditionalRequestConflict", "409"):
                # Every commit holds a random id, so the same bytes are this writer's own first attempt.
                return self.get(key) == data
            raise

    def settle(self, keys: Iterable[str]) -> None:
        """An object is durable when its PUT is answered."""


def _unglobbed(path: str) -> str:
    """Spark takes a path as it is, nothing percent-encoded, but reads it as a pattern."""
    return re.sub(r"([\\\[\]{}*?])", r"\\\1", path)


def _code(error: Exception) -> str:
    response = getattr(error, "response", None) or {}
    return str(response.get("Error", {}).get("Code", ""))


# -- The log ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class DataFile:
    path: str
    """Relative to the table, decoded."""
    size: int
    partition: tuple[tuple[str, str | None], ...]

    @property
    def values(self) -> dict[str, str | None]:
        return dict(self.partition)


@dataclass
class Snapshot:
    """A table at one version."""

    version: int = -1
    files: dict[str, DataFile] = field(default_factory=dict)
    transactions: dict[str, int] = field(default_factory=dict)
    metadata: dict | None = None

    def apply(self, actions: list[dict], version: int) -> None:
        for action in actions:
            protocol = action.get("protocol")
            if protocol and protocol["minReaderVersion"] > READER_VERSION:
                raise LakeError(
                    f"the table needs Delta reader {protocol['minReaderVersion']}; this module reads version "
                    f"{READER_VERSION}: read it with an engine that has Delta support")
            if action.get("metaData"):
                self.metadata = action["metaData"]
            if action.get("txn"):
                self.transactions[action["txn"]["appId"]] = int(action["txn"]["version"])
            if action.get("remove"):
                self.files.pop(unquote(action["remove"]["path"]), None)
        # Whatever a version removes, it removes from the versions before.
        for action in actions:
            if action.get("add"):
                add = action["add"]
                path = unquote(add["path"])
                values = add.get("partitionValues") or {}
                self.files[path] = DataFile(path, int(add["size"]), tuple(sorted(dict(values).items())))
        self.version = version

    @property
    def partition_columns(self) -> list[str]:
        return list((self.metadata or {}).get("partitionColumns") or [])


@dataclass(frozen=True)
class _Log:
    """What the log's folder holds."""

    commits: dict[int, str]
    checkpoints: dict[int, list[str]]
    """Complete ones only: one file, or all parts of several."""


def _survey(store, folder: str) -> _Log:
    commits: dict[int, str] = {}
    whole: dict[int, list[str]] = {}
    parts: dict[tuple[int, int], dict[int, str]] = {}
    for key, _ in store.list(folder):
        match = LOG_FILE.fullmatch(key.rsplit("/", 1)[-1])
        if not match:
            continue
        version = int(match[1])
        if key.endswith(".json"):
            commits[version] = key
        elif match[2]:
            parts.setdefault((version, int(match[3])), {})[int(match[2])] = key
        else:
            whole[version] = [key]
    for (version, count), found in parts.items():
        if version not in whole and len(found) == count:
            whole[version] = [found[index] for index in sorted(found)]
    return _Log(commits, whole)


CheckpointReader = Callable[[list[str]], Iterator[dict]]


def read_log(store, table: str, checkpoint_reader: CheckpointReader) -> Snapshot:
    """The newest version of a table. `checkpoint_reader` gives the rows of Parquet files at addresses as dicts."""
    folder = f"{table}/_delta_log"
    problem = f"{table} has no Delta log: is this the lake's address?"
    # The log may be cleaned while it is read; then what was listed is gone, and a second look finds the newer state.
    for _ in range(3):
        log = _survey(store, folder)
        if not log.commits and not log.checkpoints:
            raise LakeError(problem)
        try:
            return _replay(store, log, checkpoint_reader, _hint(store, folder))
        except _Moved as moved:
            problem = f"{table}: {moved}"
    raise LakeError(problem)


class _Moved(Exception):
    pass


def _hint(store, folder: str) -> int | None:
    """`_last_checkpoint` is only a hint: it may be missing, behind, or damaged. It lets damaged listings be noticed."""
    try:
        return int(json.loads(store.get(f"{folder}/_last_checkpoint") or b"")["version"])
    except (ValueError, KeyError, TypeError):
        return None


def _replay(store, log: _Log, checkpoint_reader: CheckpointReader, hint: int | None) -> Snapshot:
    if hint is not None and hint not in log.checkpoints and not any(v > hint for v in log.checkpoints):
        if 0 not in log.commits:
            raise _Moved(f"_last_checkpoint names version {hint}, whose checkpoint is not there")
    snapshot = Snapshot()
    newest = max(log.checkpoints, default=None)
    # A checkpoint that cannot be read costs time and nothing else, as long as the versions it covers are there.
    for version in sorted(log.checkpoints, reverse=True):
        try:
            candidate = Snapshot()
            rows = checkpoint_reader([store.address(key) for key in log.checkpoints[version]])
            candidate.apply([_plain(row) for row in rows], version)
        except LakeError:
            raise
        except Exception:  # whatever the Parquet reader raises for a damaged file
            continue
        if candidate.metadata is not None:
            snapshot = candidate
            break
    version = snapshot.version + 1
    last = max(max(log.commits, default=-1), newest if newest is not None else -1)
    while version in log.commits:
        data = store.get(log.commits[version])
        if data is None:
            raise _Moved(f"version {version} of the log vanished while it was read")
        snapshot.apply([json.loads(line) for line in data.splitlines() if line.strip()], version)
        version += 1
    if snapshot.version < last or snapshot.metadata is None:
        raise _Moved(f"version {snapshot.version + 1} of the log is missing and no checkpoint covers it")
    return snapshot


def _plain(row: dict) -> dict:
    """A checkpoint's row as an action: the members that are set; maps that came as lists of pairs as dicts."""
    action = {key: value for key, value in row.items() if value is not None}
    if "add" in action and isinstance(action["add"].get("partitionValues"), list):
        action["add"] = dict(action["add"], partitionValues=dict(action["add"]["partitionValues"]))
    return action


def spark_checkpoints(session) -> CheckpointReader:
    """Reads checkpoints with Spark itself, so that nothing but PySpark is needed."""

    def read(addresses: list[str]) -> Iterator[dict]:
        frame = session.read.parquet(*addresses)
        wanted = [name for name in ("protocol", "metaData", "txn", "add") if name in frame.columns]
        for row in frame.select(*wanted).toLocalIterator():
            yield row.asDict(recursive=True)

    return read


# -- Tables -------------------------------------------------------------------------------------------------------------


class Lake:
    def __init__(self, store):
        self.store = store

    @staticmethod
    def open(address: str, scheme: str = "s3a") -> Lake:
        """`scheme`: how Spark reaches the bucket: `s3a` with hadoop-aws, `s3` with Sail."""
        if address.startswith(("s3://", "s3a://")):
            bucket, _, prefix = address.split("://", 1)[1].partition("/")
            return Lake(S3Store(bucket, prefix, scheme=scheme))
        path = address.removeprefix("file://")
        if not os.path.isdir(path):
            raise LakeError(f"{path} is not a directory: give the folder that holds reports/")
        return Lake(LocalStore(path))

    def table(self, name: str) -> Table:
        return Table(self.store, name)

    def derived(self, name: str) -> Table:
        if not TABLE_NAME.fullmatch(name):
            raise LakeError(f"a derived table's name is made of a-z, 0-9 and _, not {name!r}")
        return Table(self.store, f"derived/{name}")


class Table:
    def __init__(self, store, name: str):
        self.store, self.name = store, name

    def snapshot(self, session) -> Snapshot:
        return read_log(self.store, self.name, spark_checkpoints(session))

    def read(self, session, since: str | None = None, until: str | None = None, snapshot: Snapshot | None = None):
        """A DataFrame over exactly the files of one version; days `since` … `until` (both included) where the table is
        partitioned by `date`: files of other days are not even opened."""
        from pyspark.sql import functions
        from pyspark.sql.types import StructType

        snapshot = snapshot or self.snapshot(session)
        assert snapshot.metadata is not None
        schema = StructType.fromJson(json.loads(snapshot.metadata["schemaString"]))
        files = [file for file in snapshot.files.values() if _in_days(file, since, until)]
        if not files:
            return session.createDataFrame([], schema)
        columns = snapshot.partition_columns
        inside = StructType([one for one in schema.fields if one.name not in columns])
        # Files whose folders say what the log says are read together (Spark takes the day from the folder); files that
        # another engine put elsewhere get their values from the log.
        plain = [file for file in files if file.path.startswith(_folder(file, columns))] if columns else files
        frames = []
        if plain:
            reader = session.read.schema(schema if columns else inside)
            if columns:
                reader = reader.option("basePath", self.store.address(self.name))
            frames.append(reader.parquet(*[self._address(file) for file in plain]))
        others: dict[tuple, list[DataFile]] = {}
        for file in set(files) - set(plain):
            others.setdefault(file.partition, []).append(file)
        for partition, group in sorted(others.items(), key=str):
            frame = session.read.schema(inside).parquet(*[self._address(file) for file in group])
            for name, value in partition:
                frame = frame.withColumn(name, functions.lit(value).cast(schema[name].dataType))
            frames.append(frame)
        frame = frames[0].select(schema.names)
        for other in frames[1:]:
            frame = frame.unionByName(other.select(schema.names))
        return frame

    def _address(self, file: DataFile) -> str:
        return self.store.address(f"{self.name}/{file.path}")

    # -- Writing

    def overwrite(
        self, session, frame, application: str, source_version: int, force: bool = False, files: int = 1,
        note: dict | None = None,
    ) -> int | None:
        """Replaces the table's rows by `frame` in one commit; the version, or None if `application` has written this
        `source_version` or a later one already. The frame is written as `files` Parquet files."""
        reader = spark_checkpoints(session)
        current = self._current(reader)
        if not force and current.transactions.get(application, -1) >= source_version:
            return None
        _check_columns(frame.schema)
        folder = f"run-{uuid.uuid4().hex}"
        # Without this Spark writes 96-bit nanosecond timestamps, which other engines refuse or misread.
        session.conf.set("spark.sql.parquet.outputTimestampType", "TIMESTAMP_MICROS")
        frame.coalesce(files).write.mode("error").option("compression", "zstd").parquet(
            self.store.address(f"{self.name}/{folder}"))
        written = [
            (key, size) for key, size in self.store.list(f"{self.name}/{folder}") if key.endswith(".parquet")
        ]
        self.store.settle(key for key, _ in written)
        adds = [self._add(session, key, size) for key, size in written]
        for _ in range(MAX_COMMIT_ATTEMPTS):
            actions = self._actions(current, frame.schema, adds, application, source_version, note)
            data = "".join(json.dumps(action, separators=(",", ":")) + "\n" for action in actions).encode()
            if self.store.put_if_absent(f"{self.name}/_delta_log/{current.version + 1:020d}.json", data):
                return current.version + 1
            # Somebody was first: what they wrote is replaced too, unless it is newer than what we have.
            current = self._current(reader)
            if not force and current.transactions.get(application, -1) >= source_version:
                return None
        raise LakeError(f"{self.name}: {MAX_COMMIT_ATTEMPTS} commits in a row lost the race; is a writer in a loop?")

    def _current(self, reader: CheckpointReader) -> Snapshot:
        if not self.store.list(f"{self.name}/_delta_log"):
            return Snapshot()
        snapshot = read_log(self.store, self.name, reader)
        if snapshot.partition_columns:
            raise LakeError(f"{self.name} is partitioned; derived tables are not")
        return snapshot

    def _add(self, session, key: str, size: int) -> dict:
        rows = session.read.parquet(self.store.address(key)).count()
        path = key[len(self.name) + 1:]
        return {
            "path": quote(path, safe="/=-_."), "partitionValues": {}, "size": size, "modificationTime": _now(),
            "dataChange": True, "stats": json.dumps({"numRecords": rows}),
        }

    def _actions(self, current: Snapshot, schema, adds, application, source_version, note) -> list[dict]:
        text = schema.json()
        info = {
            "timestamp": _now(), "operation": "WRITE", "operationParameters": {"mode": "Overwrite"},
            "engineInfo": "columba_lake", "isBlindAppend": False, "txnId": uuid.uuid4().hex,
        }
        actions: list[dict] = [{"commitInfo": dict(info, **({"note": note} if note else {}))}]
        if current.version < 0:
            actions.append({"protocol": {"minReaderVersion": READER_VERSION, "minWriterVersion": WRITER_VERSION}})
        old = current.metadata or {}
        if old.get("schemaString") != text:
            actions.append({"metaData": {
                "id": old.get("id") or str(uuid.uuid4()), "name": self.name.rsplit("/", 1)[-1],
                "format": {"provider": "parquet", "options": {}}, "schemaString": text, "partitionColumns": [],
                "configuration": old.get("configuration") or {}, "createdTime": _now(),
            }})
        actions.append({"txn": {"appId": application, "version": source_version, "lastUpdated": _now()}})
        for path in sorted(current.files):
            actions.append({"remove": {
                "path": quote(path, safe="/=-_."), "deletionTimestamp": _now(), "dataChange": True,
            }})
        return actions + [{"add": add} for add in adds]


def _in_days(file: DataFile, since: str | None, until: str | None) -> bool:
    day = file.values.get("date")
    return day is None or ((since is None or day >= since) and (until is None or day <= until))


def _folder(file: DataFile, columns: list[str]) -> str:
    return "".join(f"{name}={file.values.get(name)}/" for name in columns)


def _check_columns(schema) -> None:
    for one in schema.fields:
        if not COLUMN_NAME.fullmatch(one.name):
            raise LakeError(f"column {one.name!r} needs a plain name: use .alias(\"…\")")
        if one.dataType.typeName() in ("timestamp_ntz", "void", "interval"):
            raise LakeError(f"column {one.name!r} has type {one.dataType.typeName()}, which Delta's version 1 lacks")


def _now() -> int:
    return int(time.time() * 1000)


def session(name: str, remote: str | None = None):
    """A Spark session as Columba's tables need it. `remote`: `sc://host:port` of Spark Connect or Sail; without, the
    one of spark-submit, or a local one."""
    from pyspark.sql import SparkSession

    builder = SparkSession.builder.appName(name)
    if remote:
        builder = builder.remote(remote)
    spark = builder.config("spark.sql.session.timeZone", "UTC").getOrCreate()
    # A session that existed before keeps its own settings unless they are set again. Days and weeks are UTC's.
    spark.conf.set("spark.sql.session.timeZone", "UTC")
    return spark
