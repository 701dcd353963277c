"""Computes AWS Signature Version 4 for requests as they were on the wire: sigv4.py REQUESTS.ndjson.

Written from AWS's description alone, with Python's own hashing and percent-encoding, to be held against Columba's.
Prints one signature a line.
"""

import hashlib
import hmac
import json
import sys
import urllib.parse


def mac(key, text):
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


def signature(request):
    headers = request["headers"]
    authorization = headers["authorization"]
    fields = dict(part.strip().split("=", 1) for part in authorization.split(" ", 1)[1].split(","))
    date, region, service, end = fields["Credential"].split("/")[-4:]
    assert (region, service, end) == (request["region"], "s3", "aws4_request"), fields
    names = fields["SignedHeaders"].split(";")
    assert names == sorted(names) and "host" in names and "x-amz-date" in names, names
    # Whatever changes what a request does must be signed.
    for name in headers:
        assert not name.startswith("x-amz-") or name in names, name
    assert "if-none-match" not in headers or "if-none-match" in names
    path, _, query = request["target"].partition("?")
    # The path as S3 understands it, encoded anew.
    path = urllib.parse.quote(urllib.parse.unquote(path, errors="strict"), safe="/-._~")
    pairs = [(urllib.parse.unquote(n), urllib.parse.unquote(v)) for n, _, v in
             (part.partition("=") for part in query.split("&") if part)]
    encoded = sorted((urllib.parse.quote(n, safe="-._~"), urllib.parse.quote(v, safe="-._~")) for n, v in pairs)
    body = hashlib.sha256(bytes.fromhex(request["body"])).hexdigest()
    canonical = "\n".join([
        request["method"], path, "&".join(f"{n}={v}" for n, v in encoded),
        "".join(f"{name}:{' '.join(headers[name].split())}\n" for name in names), ";".join(names), body])
    scope = f"{date}/{region}/{service}/aws4_request"
    text = "\n".join(["AWS4-HMAC-SHA256", headers["x-amz-date"], scope,
                      hashlib.sha256(canonical.encode()).hexdigest()])
    key = ("AWS4" + request["secret"]).encode()
    for part in (date, region, service, "aws4_request"):
        key = mac(key, part)
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


with open(sys.argv[1], encoding="utf-8") as lines:
    for line in lines:
        print(signature(json.loads(line)))
