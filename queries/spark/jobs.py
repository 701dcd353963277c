"""What the jobs in this folder share: their options, and from reading `reports` to committing the result."""

from __future__ import annotations

import argparse
import json
import sys

import columba_lake


def arguments(description: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--lake", required=True, help="the folder that holds reports/, or s3://bucket/prefix")
    parser.add_argument("--since", metavar="DAY", help="first day (UTC, 2026-11-20); all without")
    parser.add_argument("--until", metavar="DAY", help="last day, included")
    parser.add_argument("--cell-letters", type=int, default=5, choices=range(1, 8), metavar="N",
                        help="place = so many letters of the geohash (5: about 5 km)")
    parser.add_argument("--min-group", type=int, default=5, metavar="K",
                        help="groups of fewer than K persons, or words in fewer than K reports, are left out")
    parser.add_argument("--table", help="another name for the table derived.<name>")
    parser.add_argument("--force", action="store_true", help="write although this version of reports is done already")
    parser.add_argument("--remote", metavar="URL", help="sc://host:port of Spark Connect or Sail")
    parser.add_argument("--scheme", default="s3a", help="how Spark reaches a bucket: s3a (hadoop-aws) or s3 (Sail)")
    return parser


def run(name: str, compute, options) -> None:
    """`compute(reports, options)` gives the result, and what to note about it. Prints one JSON object."""
    try:
        lake = columba_lake.Lake.open(options.lake, scheme=options.scheme)
        session = columba_lake.session(f"columba-{name}", options.remote)
        source = lake.table("reports")
        snapshot = source.snapshot(session)
        reports = source.read(session, options.since, options.until, snapshot)
        result, note = compute(reports, options)
        note = dict(note, source_version=snapshot.version, since=options.since, until=options.until)
        # Another choice of days or places is another result, though the reports are the same.
        force = options.force or options.since is not None or options.until is not None
        table = options.table or name
        version = lake.derived(table).overwrite(
            session, result, application=f"spark-{name}", source_version=snapshot.version, force=force, note=note)
    except columba_lake.LakeError as error:
        sys.exit(f"{name}: {error}")
    state = "unchanged" if version is None else "written"
    print(json.dumps(dict(note, table=f"derived.{table}", version=version, state=state)))
