// Objects in parts: what is larger than one request should be. Nothing of it shows before the last step.
//
//   begin (the object's metadata) → parts, each repeated by itself → complete
//
// A failure aborts the upload. A crash leaves its parts at the server, invisible and paid for: `removeUnfinished` lists
// and aborts those that nobody can be working on any more (F16).

import Crypto
package import Models

/// Bytes in order, in pieces of any size.
struct S3PartSource {
    let bytes: Int
    let pieces: (_ give: ([UInt8]) throws -> Void) throws -> Void
}

struct S3Upload {
    let store: S3ObjectStore
    let key: String
    let digest: String

    func run(_ source: S3PartSource) throws {
        let token = Random.hex(bytes: 16)
        let id = try begin(token)
        do {
            try complete(id, try send(source, id), token)
        } catch {
            // The error is told whether or not this works: what it leaves is removed later.
            var call = S3Call("DELETE", key: key, name: store.name(key))
            call.query = [("uploadId", id)]
            _ = try? store.client.checked(call)
            throw error
        }
    }

    private func begin(_ token: String) throws(S3Error) -> String {
        var call = S3Call("POST", key: key, name: store.name(key))
        call.query = [("uploads", "")]
        call.body = []
        call.headers = [(S3ObjectStore.digestHeader, digest), (S3ObjectStore.writerHeader, token)]
        let answer = try store.client.perform(call)
        guard let id = S3XMLReader.root(of: answer.body)?["UploadId"], !id.isEmpty else {
            throw S3Error(.badAnswer, "POST", key, status: answer.status, detail: "no upload id")
        }
        return id
    }

    /// The parts' tags in order.
    private func send(_ source: S3PartSource, _ id: String) throws -> [String] {
        let settings = store.client.settings
        let partBytes = max(settings.partBytes, source.bytes / S3Settings.maxParts + 1)
        var tags: [String] = []
        var part: [UInt8] = []
        part.reserveCapacity(min(partBytes, source.bytes))
        try source.pieces { piece in
            var offset = 0
            while offset < piece.count {
                let taken = min(partBytes - part.count, piece.count - offset)
                part += piece[offset..<(offset + taken)]
                offset += taken
                if part.count == partBytes {
                    tags.append(try send(part, number: tags.count + 1, id))
                    part.removeAll(keepingCapacity: true)
                }
            }
        }
        if !part.isEmpty || tags.isEmpty { tags.append(try send(part, number: tags.count + 1, id)) }
        return tags
    }

    private func send(_ part: [UInt8], number: Int, _ id: String) throws(S3Error) -> String {
        var call = S3Call("PUT", key: key, name: store.name(key))
        call.query = [("partNumber", String(number)), ("uploadId", id)]
        call.body = part
        let answer = try store.client.perform(call)
        guard let tag = answer.header("etag") else {
            throw S3Error(.badAnswer, "PUT", key, status: answer.status, detail: "no ETag for part \(number)")
        }
        return tag
    }

    private func complete(_ id: String, _ tags: [String], _ token: String) throws(S3Error) {
        let parts = tags.enumerated().map { index, tag in
            "<Part><PartNumber>\(index + 1)</PartNumber><ETag>\(tag)</ETag></Part>"
        }
        var call = S3Call("POST", key: key, name: store.name(key))
        call.query = [("uploadId", id)]
        call.body = Array("<CompleteMultipartUpload>\(parts.joined())</CompleteMultipartUpload>".utf8)
        do throws(S3Error) {
            try store.client.repeating { () throws(S3Error) in
                let answer = try store.client.checked(call)
                // The status is sent before the work is done: an error may stand in the body of a 200.
                guard let root = S3XMLReader.root(of: answer.body), root.name != "Error" else {
                    throw S3Error("POST", key, status: 500, body: answer.body)
                }
            }
        } catch {
            // A lost answer: the upload is gone because it is complete.
            guard error.kind == .missing else { throw error }
            let found = try store.client.repeating { () throws(S3Error) in try store.head(key) }
            guard found?.writer == token else { throw error }
        }
    }
}

extension S3ObjectStore {
    /// Aborts uploads that began longer ago than this and were never completed; how many.
    package func removeUnfinished(olderThanSeconds seconds: Double, now: Timestamp) throws -> Int {
        var aborted = 0
        var marker: (key: String, id: String)?
        for _ in 0..<S3Settings.maxPages {
            var call = S3Call("GET", key: "", name: location.bucket)
            call.query = [("uploads", ""), ("prefix", location.prefix.isEmpty ? "" : "\(location.prefix)/")]
            if let marker { call.query += [("key-marker", marker.key), ("upload-id-marker", marker.id)] }
            guard let root = S3XMLReader.root(of: try client.perform(call).body) else {
                throw S3Error(.badAnswer, "GET", "", detail: "a list of uploads that cannot be read")
            }
            for upload in root.all("Upload") {
                guard let name = upload["Key"], let key = self.key(name), let id = upload["UploadId"],
                    let begun = upload["Initiated"].flatMap({ Timestamp(rfc3339: $0) }),
                    now.seconds(since: begun) > seconds
                else { continue }
                var abort = S3Call("DELETE", key: key, name: self.name(key))
                abort.query = [("uploadId", id)]
                _ = try client.perform(abort)
                aborted += 1
            }
            guard root["IsTruncated"] == "true", let key = root["NextKeyMarker"], let id = root["NextUploadIdMarker"],
                key != marker?.key || id != marker?.id
            else { return aborted }
            marker = (key, id)
        }
        return aborted
    }

    /// Throws `.unsuitable` unless the server keeps what exactly-once rests on: a taken name is refused, and what
    /// stands beside an object is given back. Writes one small object and removes it.
    package func check() throws {
        let key = "_columba/check-\(Random.hex(bytes: 8))"
        func unsuitable(_ detail: String) -> S3Error { S3Error(.unsuitable, "PUT", key, detail: detail) }
        let bytes = Array("columba".utf8)
        try client.reach(location)
        guard try putIfAbsent(key, bytes) else { throw unsuitable("a name that is free is refused") }
        defer { try? remove(key) }
        guard let head = try client.repeating({ () throws(S3Error) in try head(key) }) else {
            throw unsuitable("what was written cannot be seen")
        }
        guard head.writer != nil, head.digest != nil else { throw unsuitable("user metadata is not kept") }
        guard try !putIfAbsent(key, bytes) else { throw unsuitable("If-None-Match is ignored: two writers would win") }
        guard try get(key) == bytes, try list("_columba").contains(where: { $0.key == key }) else {
            throw unsuitable("what was written is not what is read")
        }
    }
}
