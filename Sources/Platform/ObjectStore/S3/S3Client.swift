// Signed exchanges with an S3 server: a bounded pool of connections, a time limit on everything, and repetition with
// pauses where the trouble passes. It knows requests and answers; what they mean for a store is `S3ObjectStore`.
//
// A request that is repeated may have been carried out before: its answer was lost, or libcurl found the kept
// connection dead and sent it again by itself. So whatever goes through here does no harm twice, or is resolved by its
// caller.

import Crypto
import Glibc
import HTTPClient
import Models
package import System
import Synchronization

struct S3Call {
    var method: String
    /// Within the bucket; empty for the bucket itself.
    var name = ""
    /// As the caller calls it, for errors.
    var key: String
    var query: [(name: String, value: String)] = []
    var headers: [(name: String, value: String)] = []
    var body: [UInt8]?
    /// Of the answer.
    var expectedBytes = 0
    var maxBytes = S3Settings.maxAnswerBytes
    /// Given the bytes of a successful answer as they come; false ends the exchange.
    var sink: ((UnsafeRawBufferPointer) -> Bool)?

    init(_ method: String, key: String, name: String = "") {
        self.method = method
        self.key = key
        self.name = name
    }
}

struct S3Answer {
    let status: Int
    let headers: [(name: String, value: String)]
    let body: [UInt8]

    func header(_ name: String) -> String? { headers.first { $0.name == name }?.value }
}

/// What was asked of the server since the start.
package struct S3Counts: Sendable, Equatable {
    package var requests = 0
    package var retries = 0
    package var failures = 0
    package var bytesSent = 0
    package var bytesReceived = 0
    /// Lost answers to a put-if-absent that had won.
    package var recognised = 0
}

package final class S3Client: Sendable {
    package let settings: S3Settings
    private let time: any TimeSource
    private let pause: @Sendable (Double) -> Void
    private let credentials: Mutex<S3Credentials>
    private let pool = Monitor(Pool())
    private let counters = Mutex(S3Counts())

    private struct Pool {
        var idle: [HTTPClient] = []
        var inUse = 0
    }

    /// - Parameter pause: waits between two attempts; tests wait for nothing.
    package init(
        _ settings: S3Settings, time: any TimeSource = SystemTime(),
        pause: @escaping @Sendable (Double) -> Void = { poll(nil, 0, Int32($0 * 1000)) }
    ) throws {
        precondition(settings.maxConnections > 0 && settings.attempts > 0, "the limits of a client are positive")
        precondition(settings.partBytes >= 5 << 20, "S3 takes parts of at least 5 MiB")
        self.settings = settings
        self.time = time
        self.pause = pause
        credentials = Mutex(try settings.credentials())
    }

    package var counts: S3Counts { counters.withLock { $0 } }
    func count(_ body: (inout S3Counts) -> Void) { counters.withLock { body(&$0) } }

    // MARK: - With repetition

    /// Runs `body` until it does not fail in a way that passes; it may run several times.
    func repeating<Result>(_ body: () throws(S3Error) -> Result) throws(S3Error) -> Result {
        let start = time.monotonicNanoseconds()
        var attempt = 1
        while true {
            do throws(S3Error) {
                return try body()
            } catch {
                guard error.isTransient, mayRepeat(attempt: attempt, since: start) else {
                    count { $0.failures += 1 }
                    throw error
                }
            }
            rest(afterAttempt: attempt)
            attempt += 1
        }
    }

    func mayRepeat(attempt: Int, since start: UInt64) -> Bool {
        let passed = Double(time.monotonicNanoseconds() - start) / 1e9
        return attempt < settings.attempts && passed < settings.giveUpSeconds
    }

    /// Doubling, and anything from nothing up to it: many clients must not come back in step.
    func rest(afterAttempt attempt: Int) {
        count { $0.retries += 1 }
        let longest = min(settings.longestPauseSeconds, settings.firstPauseSeconds * Double(1 << min(attempt - 1, 16)))
        pause(Double.random(in: 0...longest))
    }

    /// A successful answer, or `missing` and `conflict` as errors.
    func perform(_ call: S3Call) throws(S3Error) -> S3Answer {
        try repeating { () throws(S3Error) in try checked(call) }
    }

    /// Throws unless the bucket is there and we may list it. Changes nothing.
    package func reach(_ location: S3Location) throws(S3Error) {
        var call = S3Call("GET", key: "", name: location.bucket)
        call.query = [("list-type", "2"), ("max-keys", "1"), ("prefix", location.prefix)]
        _ = try perform(call)
    }

    // MARK: - Once

    /// One exchange; a status that is no success is an error.
    func checked(_ call: S3Call) throws(S3Error) -> S3Answer {
        var answer = try once(call)
        if answer.status == 403, reloadCredentials() { answer = try once(call) }
        guard (200...299).contains(answer.status) else {
            throw S3Error(call.method, call.key, status: answer.status, body: answer.body)
        }
        return answer
    }

    /// True if the files hold other keys than before.
    private func reloadCredentials() -> Bool {
        guard let fresh = try? settings.credentials() else { return false }
        return credentials.withLock { known in
            defer { known = fresh }
            return known != fresh
        }
    }

    func once(_ call: S3Call) throws(S3Error) -> S3Answer {
        let connection = try self.connection(for: call)
        defer { give(back: connection) }
        count { counts in
            counts.requests += 1
            counts.bytesSent += call.body?.count ?? 0
        }
        do throws(HTTPClientError) {
            let answer = try exchange(call, connection)
            count { $0.bytesReceived += answer.body.count }
            return answer
        } catch {
            throw S3Error(call.method, call.key, error)
        }
    }

    private func exchange(_ call: S3Call, _ connection: HTTPClient) throws(HTTPClientError) -> S3Answer {
        let request = self.request(call)
        guard let sink = call.sink else {
            let response = try connection.perform(request)
            return S3Answer(status: response.status, headers: response.headers, body: response.body)
        }
        var status = 0
        var problem: [UInt8] = []
        var received = 0
        let response = try connection.stream(
            request,
            onStatus: {
                status = $0
                return true
            },
            onBytes: { bytes in
                received += bytes.count
                if (200...299).contains(status) { return sink(bytes) }
                if problem.count < 1 << 16 { problem += bytes }
                return true
            })
        count { $0.bytesReceived += received }
        return S3Answer(status: response.status, headers: response.headers, body: problem)
    }

    private func request(_ call: S3Call) -> HTTPClientRequest {
        let bucketPath = "/" + S3Encoding.encode(call.name, keepingSlashes: true)
        let digest = call.body.map { SHA256.hash($0) } ?? SHA256.hash([])
        let text = S3RequestText(
            method: call.method, host: settings.endpoint.host, path: bucketPath, query: call.query,
            headers: call.headers, bodyDigest: digest.hex)
        let signature = S3Signature(credentials: credentials.withLock { $0 }, region: settings.region)
        let now = Timestamp(microseconds: time.wallMicroseconds())
        let query = text.canonicalQuery
        let moved = max(call.body?.count ?? 0, call.expectedBytes)
        return HTTPClientRequest(
            method: call.method, url: settings.endpoint.address + bucketPath + (query.isEmpty ? "" : "?\(query)"),
            headers: signature.headers(for: text, at: now).map { ($0.name, $0.value) }, body: call.body,
            timeoutSeconds: settings.requestSeconds + Double(moved / settings.leastBytesPerSecond),
            connectTimeoutSeconds: settings.connectSeconds, stallTimeoutSeconds: settings.stallSeconds,
            maxResponseBytes: call.maxBytes,
            tls: settings.endpoint.isSecure ? HTTPClientTLS(authoritiesFile: settings.authoritiesFile) : nil)
    }

    // MARK: - Connections

    private func connection(for call: S3Call) throws(S3Error) -> HTTPClient {
        let limit = settings.maxConnections
        let taken = pool.wait(timeoutSeconds: settings.requestSeconds) { pool -> HTTPClient? in
            guard pool.inUse < limit else { return nil }
            pool.inUse += 1
            return pool.idle.popLast() ?? HTTPClient()
        }
        guard let taken else {
            throw S3Error(.timedOut, call.method, call.key, detail: "\(limit) requests are under way")
        }
        return taken
    }

    private func give(back connection: HTTPClient) {
        pool.update { pool in
            pool.inUse -= 1
            pool.idle.append(connection)
        }
    }
}
