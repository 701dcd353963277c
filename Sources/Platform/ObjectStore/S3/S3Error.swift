// What went wrong between this machine and the object store, with what a person can do about it.

import HTTPClient

package struct S3Error: Error, Sendable, CustomStringConvertible {
    package enum Kind: String, Sendable {
        /// Passing: the server is not there, too slow, or overloaded.
        case unreachable, timedOut, overloaded
        /// Whoever answers has not shown to be the object store: nothing was sent.
        case untrusted
        case forbidden, noBucket
        case missing
        /// Another writer of the same key is under way.
        case conflict
        /// Neither written for certain nor for certain not: the answer was lost, and so was every later question.
        case undecided
        /// Other bytes than were written.
        case damaged
        /// The answer is not one of S3, or longer than allowed.
        case badAnswer
        /// The server lacks what exactly-once rests on.
        case unsuitable
        case refused
    }

    package var kind: Kind
    /// `PUT`, `GET`, …
    package var operation: String
    /// Within the store; empty for the bucket.
    package var key: String
    package var status: Int?
    /// The server's own code, such as `SlowDown`.
    package var code = ""
    package var detail = ""

    /// Trying the same again may help.
    package var isTransient: Bool {
        switch kind {
        case .unreachable, .timedOut, .overloaded, .conflict: true
        case .untrusted, .forbidden, .noBucket, .missing, .undecided, .damaged, .badAnswer, .unsuitable, .refused:
            false
        }
    }

    package var hint: String {
        switch kind {
        case .unreachable: "check s3.endpoint and that the object store runs"
        case .untrusted:
            "check that s3.ca is the authority of the object store's certificate, s3.endpoint a name in it, and that "
                + "it has not expired"
        case .timedOut, .overloaded: "the object store is too slow: check its disks and volume servers"
        case .forbidden:
            code == "RequestTimeTooSkewed"
                ? "set this machine's clock (NTP)" : "check the keys in s3.access_key_file and s3.secret_key_file"
        case .noBucket: "make the bucket, or correct lake and vault"
        case .damaged: "restore the object from a backup of the lake"
        case .undecided: "it is looked at again before anything else is written"
        case .unsuitable: "use a server with If-None-Match on PUT and user metadata: SeaweedFS 4, MinIO, AWS, Ceph 19"
        case .missing, .conflict, .badAnswer, .refused: ""
        }
    }

    package var description: String {
        let what = [status.map(String.init) ?? "", code, detail].filter { !$0.isEmpty }.joined(separator: " ")
        return "object store: \(operation) \(key.isEmpty ? "bucket" : key): \(kind.rawValue)"
            + (what.isEmpty ? "" : " (\(what))") + (hint.isEmpty ? "" : "; \(hint)")
    }

    init(_ kind: Kind, _ operation: String, _ key: String, status: Int? = nil, code: String = "", detail: String = "") {
        self.kind = kind
        self.operation = operation
        self.key = key
        self.status = status
        self.code = code
        self.detail = detail
    }

    /// From an answer that is not a success.
    init(_ operation: String, _ key: String, status: Int, body: [UInt8]) {
        let root = S3XMLReader.root(of: body)
        let code = root?.name == "Error" ? root?["Code"] ?? "" : ""
        self.init(Self.kind(status: status, code: code), operation, key, status: status, code: code)
    }

    init(_ operation: String, _ key: String, _ error: HTTPClientError) {
        let kind: Kind =
            switch error.code {
            case .couldNotResolve, .couldNotConnect, .handshake, .closed, .badAnswer, .other: .unreachable
            case .timedOut, .cancelled: .timedOut
            case .tooLarge: .badAnswer
            case .tls: .untrusted
            case .addressRefused, .invalidRequest: .refused
            }
        self.init(kind, operation, key, detail: "\(error.code.rawValue): \(error.detail)")
    }

    private static func kind(status: Int, code: String) -> Kind {
        switch (status, code) {
        case (_, "SlowDown"), (_, "RequestTimeout"), (_, "InternalError"), (_, "ServiceUnavailable"): .overloaded
        case (_, "NoSuchBucket"): .noBucket
        case (404, _): .missing
        case (409, _), (412, _): .conflict
        case (401, _), (403, _): .forbidden
        case (408, _), (429, _), (500...599, _): .overloaded
        default: .refused
        }
    }
}
