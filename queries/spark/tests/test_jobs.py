"""The jobs on a sample lake, held against DuckDB over the same rows, which never saw a table; and what other readers
make of the results. Needs PySpark, DuckDB (COLUMBA_DUCKDB) and a Python with delta-rs (COLUMBA_DELTA_PYTHON)."""

import contextlib
import glob
import io
import json
import math
import os
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import columba_lake  # noqa: E402
import daily_by_relay_and_cell  # noqa: E402
import jobs  # noqa: E402
import score_drift  # noqa: E402
import word_trends  # noqa: E402
from sample_lake import SampleLake  # noqa: E402

DUCKDB = os.environ.get("COLUMBA_DUCKDB", "duckdb")
DELTA_PYTHON = os.environ.get("COLUMBA_DELTA_PYTHON", sys.executable)
SEED = int(os.environ.get("COLUMBA_SEED", "20261120"))

DAILY = """
    select date::varchar as date, relay_id, cell[1:5] as place, count(*) as reports,
        count(distinct drone_id) as drones, sum(len(citizens))::bigint as sightings, sum(len(words))::bigint as words,
        sum(late::int)::bigint as late, sum(time_suspect::int)::bigint as time_suspect,
        avg((epoch_us(received_at) - epoch_us(observed_at)) / 1e6) filter (not time_suspect) as mean_delay_s,
        epoch_us(min(received_at)) as first_received_at, epoch_us(max(received_at)) as last_received_at
    from reports group by all order by all"""
DRIFT = """
    with sightings as (
        select cell[1:5] as place, date_trunc('week', date)::date as week, unnest(citizens) as c from reports),
    weekly as (
        select place, week, count(distinct c.person_id) as persons, count(*) as sightings, avg(c.peacescore) as mean,
            coalesce(stddev_samp(c.peacescore), 0) as deviation, quantile_cont(c.peacescore, 0.1) as p10,
            quantile_cont(c.peacescore, 0.5) as p50, quantile_cont(c.peacescore, 0.9) as p90
        from sightings group by all having count(distinct c.person_id) >= 5)
    select now.place, now.week::varchar as week, now.persons, now.sightings, now.mean, now.deviation, now.p10, now.p50,
        now.p90, b.mean as mean_before, now.mean - b.mean as change,
        (now.mean - b.mean) / sqrt((now.deviation ** 2 + b.deviation ** 2) / 2) as drift
    from weekly as now left join weekly as b on b.place = now.place and b.week + 7 = now.week order by 1, 2"""
TRENDS = """
    with weekly as (select date_trunc('week', date)::date as week, list_distinct(words) as words from reports),
    totals as (select week, count(*) as n from weekly group by 1),
    counted as (
        select week, word, count(*) as n from (select week, unnest(words) as word from weekly) group by 1, 2
        having count(*) >= 5)
    select now.week::varchar as week, now.word, now.n as reports, t.n as all_reports, now.n / t.n as share,
        b.n as reports_before,
        ((now.n + 0.5) / (t.n + 1)) / ((coalesce(b.n, 0) + 0.5) / (tb.n + 1)) as lift
    from counted as now join totals as t using (week) left join totals as tb on tb.week + 7 = now.week
    left join counted as b on b.week + 7 = now.week and b.word = now.word order by week, reports desc, word"""



class JobsTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        print(f"seed {SEED}", file=sys.stderr)
        cls.folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.folder.cleanup)
        cls.sample = SampleLake(cls.folder.name, DUCKDB, DELTA_PYTHON, seed=SEED)
        cls.address = os.path.join(cls.folder.name, "lake")
        cls.lake = columba_lake.Lake.open(cls.address)
        from pyspark.sql import SparkSession

        cls.spark = (
            SparkSession.builder.master("local[2]").config("spark.ui.enabled", False)
            .config("spark.sql.shuffle.partitions", 2).config("spark.driver.bindAddress", "127.0.0.1")
            .config("spark.driver.host", "127.0.0.1").config("spark.local.dir", cls.folder.name)
            # A session in another zone, as a laptop has one: days and weeks must be UTC's all the same.
            .config("spark.sql.session.timeZone", "America/New_York")
            .config("spark.driver.extraJavaOptions", "-Duser.timezone=America/New_York").getOrCreate()
        )
        cls.spark.sparkContext.setLogLevel("ERROR")
        cls.addClassCleanup(cls.spark.stop)

    def job(self, module, *options):
        """Runs a job as its command does; what it printed."""
        name = module.__name__
        output = io.StringIO()
        with contextlib.redirect_stdout(output):
            jobs.run(name, module.compute, jobs.arguments("").parse_args(["--lake", self.address, *options]))
        return json.loads(output.getvalue())

    def rows(self, table):
        """What delta-rs, which no one here wrote, reads from a derived table."""
        program = (
            "import json, sys; from deltalake import DeltaTable, QueryBuilder\n"
            "t = DeltaTable(sys.argv[1]); s = json.loads(t.schema().to_json())\n"
            "rows = QueryBuilder().register('t', t).execute('select * from t').read_all()\n"
            "names = [f['name'] for f in s['fields']]\n"
            "import datetime\n"
            "def plain(v):\n"
            "    if isinstance(v, datetime.datetime): return round(v.timestamp() * 1e6)\n"
            "    return v.isoformat() if isinstance(v, datetime.date) else v\n"
            "columns = [[plain(v) for v in rows[n].to_pylist()] for n in names]\n"
            "print(json.dumps({'schema': s, 'version': t.version(), 'rows': [dict(zip(names, r)) for r in zip(*columns)]}))"
        )
        path = os.path.join(self.address, "derived", table)
        done = subprocess.run([DELTA_PYTHON, "-c", program, path], capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout)

    def assertSame(self, found, expected):
        self.assertEqual(len(found), len(expected))
        self.assertGreater(len(expected), 10)
        for one, other in zip(found, expected):
            self.assertEqual(set(one), set(other))
            for name, value in other.items():
                if isinstance(value, float) and one[name] is not None:
                    self.assertTrue(math.isclose(one[name], value, rel_tol=1e-9, abs_tol=1e-9), (name, one, other))
                else:
                    self.assertEqual(one[name], value, (name, one, other))

    def test_exactly_the_tables_rows_are_read(self):
        from pyspark.sql import functions as f

        table = self.lake.table("reports")
        self.assertEqual(table.snapshot(self.spark).version, self.sample.version)
        frame = table.read(self.spark)
        checksum = "count(*) as n, count(distinct digest) as d, sum(seq)::bigint as s, min(date)::varchar as first, " \
            "max(date)::varchar as last, sum(epoch_us(observed_at) % 1000003)::bigint as t, sum(len(words))::bigint as w"
        expected, = self.sample.sql(f"select {checksum} from reports")
        found = frame.agg(
            f.count("*").alias("n"), f.countDistinct("digest").alias("d"), f.sum("seq").alias("s"),
            f.min("date").cast("string").alias("first"), f.max("date").cast("string").alias("last"),
            f.sum(f.unix_micros("observed_at") % 1000003).alias("t"), f.sum(f.size("words")).alias("w"))
        self.assertEqual(found.first().asDict(), expected)
        # The sample is worth its salt: whoever reads the folder counts reports twice.
        files = glob.glob(os.path.join(self.sample.table, "date=*", "*.parquet"))
        self.assertGreater(self.spark.read.parquet(*files).count(), expected["n"])

    def test_only_files_of_the_days_asked_for_are_opened(self):
        days = self.sample.days
        frame = self.lake.table("reports").read(self.spark, since=days[3], until=days[4])
        expected, = self.sample.sql(
            f"select count(*) as n from reports where date between '{days[3]}' and '{days[4]}'")
        self.assertEqual(frame.count(), expected["n"])
        self.assertEqual({name.split("date=")[1][:10] for name in frame.inputFiles()}, set(days[3:5]))
        self.assertEqual(self.lake.table("reports").read(self.spark, until="2020-01-01").count(), 0)

    def test_the_daily_aggregate_is_what_sql_says(self):
        self.assertEqual(self.job(daily_by_relay_and_cell)["state"], "written")
        self.assertSame(self.rows("daily_by_relay_and_cell")["rows"], self.sample.sql(DAILY))

    def test_the_score_drift_is_what_sql_says_and_small_groups_stay_unsaid(self):
        answer = self.job(score_drift)
        rows = self.rows("score_drift")["rows"]
        self.assertSame(rows, self.sample.sql(DRIFT))
        self.assertNotIn("u33dc", {row["place"] for row in rows})
        small, = self.sample.sql(
            "select count(*) as n from (select 1 from (select cell[1:5] as p, date_trunc('week', date) as w, "
            "unnest(citizens) as c from reports) group by p, w having count(distinct c.person_id) < 5)")
        self.assertEqual(answer["suppressed_groups"], small["n"])
        self.assertGreater(small["n"], 0)
        self.assertTrue(any(row["drift"] and row["drift"] > 0.1 for row in rows if row["place"] == "u09tv"))

    def test_the_word_trends_are_what_sql_says(self):
        answer = self.job(word_trends)
        rows = self.rows("word_trends")["rows"]
        self.assertSame(rows, self.sample.sql(TRENDS))
        self.assertGreater(answer["suppressed_words"], 0)
        festival = [row for row in rows if row["word"] == "festival"]
        self.assertTrue(festival and max(row["lift"] or 0 for row in festival) > 10)

    def test_a_run_repeated_changes_nothing_and_a_forced_one_replaces_the_rows(self):
        first = self.job(daily_by_relay_and_cell, "--table", "again")
        self.assertEqual((first["version"], first["state"]), (0, "written"))
        before = self.rows("again")
        self.assertEqual(self.job(daily_by_relay_and_cell, "--table", "again")["state"], "unchanged")
        self.assertEqual(self.rows("again"), before)
        self.assertEqual(self.job(daily_by_relay_and_cell, "--table", "again", "--force")["version"], 1)
        after = self.rows("again")
        self.assertEqual((after["rows"], after["version"]), (before["rows"], 1))

    def test_times_in_results_are_microseconds_in_utc(self):
        self.job(daily_by_relay_and_cell, "--table", "types")
        kinds = {field["name"]: field["type"] for field in self.rows("types")["schema"]["fields"]}
        self.assertEqual((kinds["first_received_at"], kinds["date"]), ("timestamp", "date"))
        file, = glob.glob(os.path.join(self.address, "derived", "types", "run-*", "*.parquet"))
        from sample_lake import duckdb

        column, = duckdb(DUCKDB, f"select type, logical_type::varchar as logical from parquet_schema('{file}') "
                                 "where name = 'first_received_at';")
        self.assertEqual(column["type"], "INT64")
        self.assertIn("MICROS", column["logical"])
        self.assertIn("isAdjustedToUTC=1", column["logical"].replace("true", "1"))

    def test_a_writer_that_loses_the_race_replaces_what_the_winner_wrote(self):
        frame = self.spark.range(5).withColumnRenamed("id", "n")
        table = self.lake.derived("raced")
        original, calls = table.store.put_if_absent, []

        def somebody_is_faster(key, data):
            table.store.put_if_absent = original
            calls.append(self.lake.derived("raced").overwrite(self.spark, self.spark.range(3), "other", 1))
            return original(key, data)

        table.store.put_if_absent = somebody_is_faster
        self.addCleanup(setattr, table.store, "put_if_absent", original)
        self.assertEqual(table.overwrite(self.spark, frame, "mine", 1), 1)
        self.assertEqual(calls, [0])
        read = self.rows("raced")
        self.assertEqual([row["n"] for row in read["rows"]], [0, 1, 2, 3, 4])
        self.assertEqual(len(self.lake.derived("raced").snapshot(self.spark).files), 1)

    def test_a_loser_of_the_same_run_writes_nothing(self):
        frame = self.spark.range(5)
        table = self.lake.derived("twice")
        original = table.store.put_if_absent

        def the_same_run_is_faster(key, data):
            table.store.put_if_absent = original
            self.lake.derived("twice").overwrite(self.spark, frame, "mine", 7)
            return original(key, data)

        table.store.put_if_absent = the_same_run_is_faster
        self.addCleanup(setattr, table.store, "put_if_absent", original)
        self.assertIsNone(table.overwrite(self.spark, frame, "mine", 7))
        self.assertEqual(self.rows("twice")["version"], 0)

    def test_columns_without_a_plain_name_are_refused_before_anything_is_written(self):
        from pyspark.sql import functions as f

        with self.assertRaisesRegex(columba_lake.LakeError, "alias"):
            self.lake.derived("refused").overwrite(self.spark, self.spark.range(3).agg(f.count("*")), "x", 1)
        self.assertFalse(os.path.exists(os.path.join(self.address, "derived", "refused")))


if __name__ == "__main__":
    unittest.main()
