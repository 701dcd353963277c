"""Reads a Delta table in S3 with delta-rs: s3_table.py ENDPOINT s3://bucket/table; keys from AWS_… variables.

Prints one JSON object: rows, the sum of seq, files, the version and the archiver's transaction.
"""

import json
import sys

import deltalake
import pyarrow
import pyarrow.compute

endpoint, place = sys.argv[1:]
options = {"AWS_ENDPOINT_URL": endpoint, "AWS_REGION": "us-east-1", "AWS_ALLOW_HTTP": "true"}
table = deltalake.DeltaTable(place, storage_options=options)
answer = deltalake.QueryBuilder().register("t", table).execute("select seq from t")
rows = pyarrow.table(answer.read_all() if hasattr(answer, "read_all") else answer)
print(json.dumps({
    "rows": rows.num_rows, "seq": pyarrow.compute.sum(rows["seq"]).as_py(), "files": len(table.file_uris()),
    "version": table.version(), "txn": table.transaction_version("archiver-p00"),
}))
