"""The log's rules, without Spark: which files a table consists of, and who wins a commit."""

import json
import os
import sys
import tempfile
import threading
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
import columba_lake  # noqa: E402
from columba_lake import LakeError, LocalStore, S3Store, read_log  # noqa: E402

META = {"metaData": {"id": "x", "schemaString": "{}", "partitionColumns": []}}
PROTOCOL = {"protocol": {"minReaderVersion": 1, "minWriterVersion": 2}}


def add(path, **more):
    return {"add": {"path": path, "size": 1, "partitionValues": {}, **more}}


def remove(path):
    return {"remove": {"path": path}}


def key(version, ending="json"):
    return f"t/_delta_log/{version:020d}.{ending}"


class FakeS3:
    """boto3's client as far as it is used, with conditional PUTs; the next PUT's answer can get lost."""

    class Refused(Exception):
        def __init__(self, code):
            super().__init__(code)
            self.response = {"Error": {"Code": code}}

    def __init__(self):
        self.objects, self.lock = {}, threading.Lock()

    def get_object(self, Bucket, Key):
        if Key not in self.objects:
            raise self.Refused("NoSuchKey")
        return {"Body": open(os.devnull, "rb") if not self.objects[Key] else _Body(self.objects[Key])}

    def put_object(self, Bucket, Key, Body, IfNoneMatch):
        assert IfNoneMatch == "*"
        with self.lock:
            if Key in self.objects:
                raise self.Refused("PreconditionFailed")
            self.objects[Key] = Body

    def get_paginator(self, name):
        return self

    def paginate(self, Bucket, Prefix):
        found = [{"Key": k, "Size": len(v)} for k, v in sorted(self.objects.items()) if k.startswith(Prefix)]
        return [{"Contents": found[:2]}, {"Contents": found[2:]}, {}]


class _Body:
    def __init__(self, data):
        self.data = data

    def read(self):
        return self.data


class StoreRules:
    """What holds for a directory and for a bucket."""

    def write(self, version, *actions, ending="json"):
        data = "".join(json.dumps(action) + "\n" for action in actions).encode()
        self.assertTrue(self.store.put_if_absent(key(version, ending), data))

    def read(self):
        return read_log(self.store, "t", self.checkpoint)

    def checkpoint(self, addresses):
        """Checkpoints of these tests are JSON lines in a `.parquet`'s clothes."""
        for address in addresses:
            name = address.rsplit("/", 1)[-1]
            data = self.store.get(f"t/_delta_log/{name}")
            yield from (json.loads(line) for line in data.splitlines())

    def test_removed_files_are_not_part_of_the_table(self):
        self.write(0, PROTOCOL, META)
        self.write(1, add("a"), add("b"))
        self.write(2, remove("a"), remove("b"), add("c"))
        self.assertEqual(set(self.read().files), {"c"})

    def test_a_file_removed_and_added_in_one_version_is_there(self):
        self.write(0, PROTOCOL, META, add("a"))
        self.write(1, add("a", size=7), remove("a"))
        self.assertEqual(self.read().files["a"].size, 7)

    def test_paths_are_percent_decoded(self):
        self.write(0, PROTOCOL, META, add("day%20one/a%25b"), add("x%2Cy"))
        self.write(1, remove("x%2Cy"))
        self.assertEqual(set(self.read().files), {"day one/a%b"})

    def test_a_checkpoint_replaces_the_versions_before_it(self):
        self.write(5, PROTOCOL, META, add("a"), {"txn": {"appId": "x", "version": 9}}, ending="checkpoint.parquet")
        self.write(6, remove("a"), add("b"))
        snapshot = self.read()
        self.assertEqual((set(snapshot.files), snapshot.version, snapshot.transactions), ({"b"}, 6, {"x": 9}))

    def test_a_checkpoint_in_parts_counts_only_when_all_are_there(self):
        for version in range(4):
            self.write(version, *( [PROTOCOL, META] if version == 0 else [add(f"f{version}")] ))
        self.write(3, PROTOCOL, META, add("one"), ending="checkpoint.0000000001.0000000002.parquet")
        self.assertEqual(set(self.read().files), {"f1", "f2", "f3"})
        self.write(3, add("two"), ending="checkpoint.0000000002.0000000002.parquet")
        self.assertEqual(set(self.read().files), {"one", "two"})

    def test_a_damaged_checkpoint_costs_nothing_while_its_versions_are_there(self):
        self.write(0, PROTOCOL, META)
        self.write(1, add("a"))
        self.assertTrue(self.store.put_if_absent(key(1, "checkpoint.parquet"), b"PAR1 damaged"))
        self.assertTrue(self.store.put_if_absent("t/_delta_log/_last_checkpoint", b"{half"))
        self.assertEqual(set(self.read().files), {"a"})

    def test_a_gap_in_the_log_is_an_error_and_not_fewer_rows(self):
        self.write(0, PROTOCOL, META)
        self.write(2, add("b"))
        with self.assertRaisesRegex(LakeError, "version 1 of the log is missing"):
            self.read()

    def test_a_damaged_checkpoint_without_its_versions_is_an_error(self):
        self.assertTrue(self.store.put_if_absent(key(4, "checkpoint.parquet"), b"PAR1 damaged"))
        self.write(5, add("b"))
        with self.assertRaises(LakeError):
            self.read()

    def test_a_last_checkpoint_whose_file_is_gone_is_an_error_unless_the_log_is_whole(self):
        self.assertTrue(self.store.put_if_absent("t/_delta_log/_last_checkpoint", b'{"version":7,"size":1}'))
        self.write(3, add("b"))
        with self.assertRaises(LakeError):
            self.read()

    def test_a_newer_protocol_is_refused(self):
        self.write(0, {"protocol": {"minReaderVersion": 3, "minWriterVersion": 7}}, META)
        with self.assertRaisesRegex(LakeError, "Delta reader 3"):
            self.read()

    def test_a_checkpoint_with_a_newer_protocol_is_refused_too(self):
        self.write(1, {"protocol": {"minReaderVersion": 2, "minWriterVersion": 5}}, META, ending="checkpoint.parquet")
        with self.assertRaisesRegex(LakeError, "Delta reader 2"):
            self.read()

    def test_without_a_log_there_is_no_table(self):
        with self.assertRaisesRegex(LakeError, "no Delta log"):
            self.read()

    def test_of_many_writers_of_one_version_exactly_one_wins(self):
        wins = []

        def attempt(number):
            if self.store.put_if_absent(key(0), f"writer {number}".encode()):
                wins.append(number)

        threads = [threading.Thread(target=attempt, args=(number,)) for number in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(len(wins), 1)
        self.assertEqual(self.store.get(key(0)), f"writer {wins[0]}".encode())
        self.assertEqual([found for found, _ in self.store.list("t/_delta_log")], [key(0)])


class LocalLogTest(StoreRules, unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.store = LocalStore(self.folder.name)

    def test_a_derived_tables_name_is_plain(self):
        lake = columba_lake.Lake(self.store)
        for name in ("../reports", "Upper", "a-b", "", "1a", "a/b"):
            with self.assertRaises(LakeError):
                lake.derived(name)
        self.assertEqual(lake.derived("word_trends").name, "derived/word_trends")


class S3LogTest(StoreRules, unittest.TestCase):
    def setUp(self):
        self.client = FakeS3()
        self.store = S3Store("bucket", "some/prefix/", client=self.client)

    def test_a_put_whose_answer_got_lost_is_recognised_as_ones_own(self):
        self.client.objects["some/prefix/" + key(0)] = b"mine"
        self.assertTrue(self.store.put_if_absent(key(0), b"mine"))
        self.assertFalse(self.store.put_if_absent(key(0), b"another's"))

    def test_addresses_are_spark_s(self):
        self.assertEqual(self.store.address("reports/x"), "s3a://bucket/some/prefix/reports/x")


if __name__ == "__main__":
    unittest.main()
