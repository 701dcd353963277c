"""The jobs by their commands on the lake of a real demo, and what central's SQL sees of their results. Needs the built
programs (COLUMBA_PROGRAMS) beside what test_jobs.py needs."""

import json
import os
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
PROGRAMS = os.environ.get("COLUMBA_PROGRAMS", os.path.join(HERE, "../../../.build/release"))
REPORTS = 3_000


def program(name):
    return os.path.join(PROGRAMS, name)


class DemoTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        # Twice, for on a fast machine one flight is one commit, and then there is nothing to compact.
        for _ in range(2):
            summary = subprocess.run(
                [program("columba"), "demo", "--drones", "20", "--reports", str(REPORTS), "--data", self.folder,
                 "--exit", "--json"], stdout=subprocess.PIPE, check=True, timeout=300)
            self.assertEqual(json.loads(summary.stdout)["archived"], REPORTS)

    def start_central(self):
        with open(f"{self.folder}/central.json5", encoding="utf-8") as file:
            text = file.read()
        self.central = "http://" + text.split('analyst_listen: "')[1].split('"')[0]
        log = open(f"{self.folder}/central-again.log", "wb")
        self.addCleanup(log.close)
        process = subprocess.Popen([program("columba-central"), "run", "--config", f"{self.folder}/central.json5"],
                                   stderr=log)
        self.addCleanup(process.wait)
        self.addCleanup(process.terminate)
        deadline = time.monotonic() + 60
        while True:
            try:
                urllib.request.urlopen(self.central + "/readyz", timeout=5).close()
                return process
            except OSError:
                self.assertIsNone(process.poll(), "central ended")
                self.assertLess(time.monotonic(), deadline, "central did not become ready")
                time.sleep(0.1)

    def sql(self, text):
        request = urllib.request.Request(
            self.central + "/v1/sql", data=json.dumps({"sql": text}).encode(), headers={"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)["rows"]

    def job(self, name, *options):
        done = subprocess.run(
            [sys.executable, os.path.join(HERE, "..", f"{name}.py"), "--lake", f"{self.folder}/lake", *options],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=300, check=False,
            env=dict(os.environ, SPARK_LOCAL_IP="127.0.0.1", PYSPARK_SUBMIT_ARGS="--master local[2] --conf spark.sql.shuffle.partitions=2 "
                     "--conf spark.ui.enabled=false pyspark-shell"))
        self.assertEqual(done.returncode, 0, done.stderr[-3000:])
        return json.loads(done.stdout)

    def assert_results(self):
        """Each derived table by central's SQL against central's own answer over `reports`."""
        self.assertEqual(
            self.sql("select sum(reports)::bigint as n, sum(sightings)::bigint as s from derived.daily_by_relay_and_cell"),
            self.sql("select count(*) as n, sum(len(citizens))::bigint as s from reports"))
        self.assertEqual(
            self.sql("select relay_id, place, drones from daily_by_relay_and_cell order by all"),
            self.sql("select relay_id, cell[1:5] as place, count(distinct drone_id) as drones from reports "
                     "group by date, relay_id, place order by all"))
        self.assertEqual(
            self.sql("select place, persons, round(mean, 6) as mean from derived.score_drift order by all"),
            self.sql("select place, count(distinct c.person_id) as persons, round(avg(c.peacescore), 6) as mean from ("
                     "select cell[1:5] as place, date_trunc('week', date) as week, unnest(citizens) as c from reports) "
                     "group by place, week having count(distinct c.person_id) >= 5 order by all"))
        words = self.sql("select word, reports from word_trends order by reports desc, word limit 50")
        self.assertEqual(words, self.sql(
            "select word, count(*) as reports from (select date_trunc('week', date) as week, "
            "unnest(list_distinct(words)) as word from reports) group by week, word having count(*) >= 5 "
            "order by reports desc, word limit 50"))
        self.assertGreater(len(words), 10)

    def test_jobs_on_a_demos_lake_give_tables_that_sql_sees(self):
        central = self.start_central()
        jobs = ["daily_by_relay_and_cell", "score_drift", "word_trends"]
        for name in jobs:
            self.assertEqual(self.job(name)["state"], "written")
        self.assert_results()
        self.assertEqual(self.job(jobs[0])["state"], "unchanged")
        help_text = subprocess.run([program("columba-central"), "--help"], capture_output=True, text=True).stdout
        if "compact" not in help_text:
            return
        # Compacted, the lake has other files and the same rows.
        central.terminate()
        central.wait()
        files = self.files()
        subprocess.run([program("columba-central"), "compact", "--config", f"{self.folder}/central.json5"], check=True,
                       timeout=300, stdout=subprocess.DEVNULL)
        self.assertNotEqual(self.files(), files)
        self.start_central()
        for name in jobs:
            self.job(name, "--force")
        self.assert_results()

    def files(self):
        return sorted(name for _, _, names in os.walk(f"{self.folder}/lake/reports") for name in names)


if __name__ == "__main__":
    unittest.main()
