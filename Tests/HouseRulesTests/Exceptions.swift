// The named list: the only places that may depart from a house rule, each with its reason. An entry that is no longer
// needed fails the test as well, so the list stays as short as it can be.

struct Exception: Equatable {
    let path: String
    /// The name of a banned construct, or `import X`.
    let construct: String
    let reason: String
}

enum Exceptions {
    static let all: [Exception] = [
        Exception(
            path: "Sources/Central/Archive/Archiver.swift", construct: "@unchecked Sendable",
            reason: "one thread archives, which `isArchiving` checks; what others read is behind a lock"),
        Exception(
            path: "Sources/Central/Query/SpareSandbox.swift", construct: "@unchecked Sendable",
            reason: "handed over whole, through a monitor: its keeper has it first, then the one query that took it"),
        Exception(
            path: "Sources/Central/Stream/EmbeddedStream.swift", construct: "@unchecked Sendable",
            reason: "a pending write is handed over through the queue's lock and owns its bytes"),
        Exception(
            path: "Sources/EdgeRelay/Buffer/PendingWrite.swift", construct: "@unchecked Sendable",
            reason: "handed from a server thread to the writer through the queue's lock; borrowed bytes, no copy"),
        Exception(
            path: "Sources/EdgeRelay/Ingest/ParserPool.swift", construct: "@unchecked Sendable",
            reason: "a parser is in the pool or lent to the one thread that took it"),
        Exception(
            path: "Sources/EdgeRelay/Ingest/RequestBody.swift", construct: "@unchecked Sendable",
            reason: "written in init only; borrows a body that lives until the request is answered"),
        Exception(
            path: "Sources/Platform/Certificates/Certificate.swift", construct: "import CCrypto",
            reason: "OpenSSL has two doors by purpose: hashing in Crypto, X.509 here; neither needs the other"),
        Exception(
            path: "Sources/Platform/Certificates/CertificateIssuer.swift", construct: "import CCrypto",
            reason: "OpenSSL has two doors by purpose: hashing in Crypto, X.509 here; neither needs the other"),
        Exception(
            path: "Sources/Platform/Certificates/CertificateRequest.swift", construct: "import CCrypto",
            reason: "OpenSSL has two doors by purpose: hashing in Crypto, X.509 here; neither needs the other"),
        Exception(
            path: "Sources/Platform/Certificates/OpenSSL.swift", construct: "import CCrypto",
            reason: "OpenSSL has two doors by purpose: hashing in Crypto, X.509 here; neither needs the other"),
        Exception(
            path: "Sources/Platform/Certificates/PrivateKey.swift", construct: "import CCrypto",
            reason: "OpenSSL has two doors by purpose: hashing in Crypto, X.509 here; neither needs the other"),
        Exception(
            path: "Sources/Platform/HTTPClient/HTTPClient.swift", construct: "@unchecked Sendable",
            reason: "a libcurl handle is handed between threads, never shared; a lock would hide a wrong use"),
        Exception(
            path: "Sources/Platform/HTTPServer/HTTPExchange.swift", construct: "@unchecked Sendable",
            reason: "handed from thread to thread; the answer is one atomic exchange in C"),
        Exception(
            path: "Sources/Platform/HTTPServer/HTTPResponseStream.swift", construct: "nonisolated(unsafe)",
            reason: "a C pointer, set before any other thread knows the object; the C stream has its own lock"),
        Exception(
            path: "Sources/Platform/HTTPServer/HTTPServer.swift", construct: "nonisolated(unsafe)",
            reason: "a C pointer, set once before init returns; the C server synchronises itself"),
        Exception(
            path: "Sources/Platform/NATS/NATSConnection.swift", construct: "nonisolated(unsafe)",
            reason: "a C pointer, set once in init; libnats's objects have their own locks"),
        Exception(
            path: "Sources/Platform/NATS/NATSInbox.swift", construct: "nonisolated(unsafe)",
            reason: "a C pointer, set once in init; libnats's objects have their own locks"),
        Exception(
            path: "Sources/Platform/SegmentedLog/SegmentReader.swift", construct: "@unchecked Sendable",
            reason: "an SQLite connection goes from one thread to the next through the pool's lock only"),
        Exception(
            path: "Sources/Platform/SegmentedLog/SegmentWriter.swift", construct: "@unchecked Sendable",
            reason: "an SQLite connection goes from preparing to appending to sealing through the log's monitor"),
        Exception(
            path: "Sources/Platform/SegmentedLog/SegmentedLog.swift", construct: "@unchecked Sendable",
            reason: "touched only by the thread that has set `isBusy`; a second one is stopped"),
        Exception(
            path: "Sources/Platform/TLS/TLSStream.swift", construct: "nonisolated(unsafe)",
            reason: "C pointers: credentials are immutable and counted atomically; a stream belongs to one thread"),
        Exception(
            path: "bench/columba-bench/Connection.swift", construct: "import CHTTPClient",
            reason: "OpenSSL sessions for the load generator: libcurl would cost more than the server it measures"),
        Exception(
            path: "bench/columba-bench/LoadGenerator.swift", construct: "import CHTTPClient",
            reason: "the load generator drives the C client's event loop itself: a wrapper would be measured with it"),
        Exception(
            path: "bench/columba-bench/ReportTemplates.swift", construct: "import CHTTPClient",
            reason: "hands whole requests to the C load generator, which sends them without copying"),
        Exception(
            path: "Sources/Platform/System/Monitor.swift", construct: "@unchecked Sendable",
            reason: "Mutex cannot be waited on: this is the one place that wraps a pthread mutex and condition"),
    ]
}
