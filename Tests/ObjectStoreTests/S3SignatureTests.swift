// Signature Version 4, held against AWS's own examples and against another program's arithmetic over what is really on
// the wire.

import Crypto
import FoundationEssentials
import Models
import ObjectStore
import System
import Testing
import TestSupport

@Suite("the signature")
struct S3SignatureTests {
    private static let root = Environment.variable("PWD") ?? "."
    private static let python = Environment.variable("COLUMBA_PYTHON") ?? "\(root)/.tools/python/bin/python"

    private static let signature = S3Signature(
        credentials: S3Credentials(
            accessKey: "AKIAIOSFODNN7EXAMPLE", secretKey: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
        region: "us-east-1")

    private func sign(_ request: S3RequestText) throws -> String {
        let time = try #require(Timestamp(rfc3339: "2013-05-24T00:00:00Z"))
        let headers = Self.signature.headers(for: request, at: time)
        let header = try #require(headers.first { $0.name == "authorization" }?.value)
        return String(header.suffix(64))
    }

    @Test("AWS's published examples for S3 come out as published")
    func published() throws {
        let host = "examplebucket.s3.amazonaws.com"
        let empty = SHA256.hash([]).hex
        #expect(
            try sign(
                S3RequestText(
                    method: "GET", host: host, path: "/test.txt", headers: [("range", "bytes=0-9")], bodyDigest: empty))
                == "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41")
        #expect(
            try sign(
                S3RequestText(
                    method: "PUT", host: host, path: "/" + S3Encoding.encode("test$file.text"),
                    headers: [
                        ("date", "Fri, 24 May 2013 00:00:00 GMT"), ("x-amz-storage-class", "REDUCED_REDUNDANCY"),
                    ], bodyDigest: SHA256.hash(Array("Welcome to Amazon S3.".utf8)).hex))
                == "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd")
        #expect(
            try sign(
                S3RequestText(
                    method: "GET", host: host, path: "/", query: [("lifecycle", "")], bodyDigest: empty))
                == "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543")
        #expect(
            try sign(
                S3RequestText(
                    method: "GET", host: host, path: "/", query: [("prefix", "J"), ("max-keys", "2")],
                    bodyDigest: empty))
                == "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7")
    }

    @Test("a path's = is %3D, a query is sorted and encoded, and a flag keeps its =")
    func encoding() {
        #expect(
            S3Encoding.encode("reports/date=2026-11-20/a b", keepingSlashes: true) == "reports/date%3D2026-11-20/a%20b")
        #expect(S3Encoding.encode("ä+/*~") == "%C3%A4%2B%2F%2A~")
        let request = S3RequestText(
            method: "POST", host: "h", path: "/",
            query: [("uploads", ""), ("prefix", "a/b=c"), ("a-b", "1"), ("a", "2")], bodyDigest: "")
        #expect(request.canonicalQuery == "a=2&a-b=1&prefix=a%2Fb%3Dc&uploads=")
    }

    private struct Wire: Encodable {
        var method: String
        var target: String
        var headers: [String: String]
        var body: String
        var region = "us-east-1"
        var secret = WeedServer.secretKey
    }

    @Test(
        "what is on the wire is what was signed: another program computes each signature again from the bytes sent",
        .enabled(if: FileSystem.isExecutable(python), "no .tools/python: make deps"))
    func wire() throws {
        let proxy = try S3Proxy { request, _ in
            let isBegin = request.target.contains("uploads=")
            let tag = request.method == "PUT" && request.target.contains("partNumber")
            let body = isBegin ? "<R><UploadId>u/+=1</UploadId></R>" : "<ListBucketResult></ListBucketResult>"
            return tag ? .answer(status: 500, body: "") : .answer(status: 200, body: body)
        }
        defer { proxy.end() }
        let fixture = try StoreFixture()
        let store = try fixture.s3(proxy.endpoint) { $0.attempts = 1 }
        try store.put("reports/date=2026-11-20/a b+c%&ä.parquet", Array("body".utf8))
        _ = try store.putIfAbsent("log/1.json", Array("{}".utf8))
        _ = try store.get("x/y=z")
        _ = try store.list("reports/date=2026-11-20")
        _ = try store.folders("reports")
        _ = try store.removeUnfinished(olderThanSeconds: 1, now: Timestamp(microseconds: 0))
        try store.remove("a*b")
        // The upload fails at its first part: begin, part, abort.
        #expect(throws: S3Error.self) { try store.put("big=1", [UInt8](repeating: 7, count: (5 << 20) + 1)) }

        let requests = proxy.requests
        #expect(requests.count == 10)
        let methods = Set(requests.map(\.method))
        #expect(methods == ["GET", "PUT", "POST", "DELETE"])
        let encoder = JSONEncoder()
        var lines: [UInt8] = []
        for request in requests {
            let wire = Wire(
                method: request.method, target: request.target,
                headers: Dictionary(request.headers.map { ($0.name, $0.value) }) { first, _ in first },
                body: Hex.encode(request.body))
            lines += [UInt8](try encoder.encode(wire)) + [0x0a]
            #expect(request.header("x-amz-content-sha256") == SHA256.hash(request.body).hex)
        }
        let file = try fixture.file("wire.ndjson", lines)
        var configuration = ChildProcess.Configuration(
            executable: Self.python, arguments: ["\(Self.root)/Tests/Clients/sigv4.py", file])
        configuration.standardOutput = .pipe
        configuration.standardError = .pipe
        let answer = try ChildProcess(configuration).converse(timeoutSeconds: 60, maxOutputBytes: 1 << 20)
        try #require(answer.status.isSuccess, "\(String(decoding: answer.error, as: UTF8.self))")
        let computed = String(decoding: answer.output, as: UTF8.self).split(separator: "\n").map(String.init)
        let sent = requests.map { String(($0.header("authorization") ?? "").suffix(64)) }
        #expect(computed == sent)
        #expect(Set(sent).count == sent.count)
    }
}
