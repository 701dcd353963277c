// A whole answer. `Content-Length`, `Date` and `Connection` are the server's business; a HEAD request gets the same
// header without the body.
import CHTTPServer

package struct HTTPResponse: Sendable {
    package var status: Int
    package var headers: [(String, String)]
    package var body: [UInt8]

    package init(status: Int, headers: [(String, String)] = [], body: [UInt8] = []) {
        self.status = status
        self.headers = headers
        self.body = body
    }

    package init(status: Int, contentType: String, body: [UInt8]) {
        self.init(status: status, headers: [("Content-Type", contentType)], body: body)
    }

    /// RFC 9457. The texts are this module's own constants: nothing in them needs escaping.
    static func problem(status: Int, title: String, code: String, detail: String) -> HTTPResponse {
        let json =
            #"{"type":"about:blank","title":"\#(title)","status":\#(status),"code":"\#(code)","detail":"\#(detail)"}"#
        return HTTPResponse(status: status, contentType: "application/problem+json", body: Array(json.utf8))
    }

    /// The head of a request is beyond a limit: 414 (its address) or 431 (its header fields).
    static func headTooLarge(status: Int) -> HTTPResponse {
        status == 414
            ? .problem(
                status: 414, title: "URI Too Long", code: "uri_too_long",
                detail: "The address, query included, is longer than this server takes. Shorten the query.")
            : .problem(
                status: 431, title: "Request Header Fields Too Large", code: "too_many_header_fields",
                detail: "The request has more header fields than this server takes. Leave some out.")
    }

    func makeNative() -> OpaquePointer {
        // The bytes are copied; an empty array may have no address, which libmicrohttpd doesn't mind at length 0.
        let native = body.withUnsafeBytes { chs_response_create($0.baseAddress, $0.count) }
        guard let native else { preconditionFailure("no memory for an answer of \(body.count) bytes") }
        HTTPResponse.check(status: status)
        HTTPResponse.add(headers, to: native)
        return native
    }

    static func check(status: Int) {
        precondition((200...599).contains(status), "an answer's status is within 200…599")
    }

    /// CR and LF would let a value end the header and begin another answer: libmicrohttpd refuses them.
    static func add(_ headers: [(String, String)], to native: OpaquePointer) {
        for (name, value) in headers {
            precondition(!HTTPResponse.isServersOwn(name), "\(name) is set by the server")
            let added = chs_response_add_header(native, name, value)
            precondition(added, "the answer's header \(name) holds a line break, or is empty")
        }
    }

    private static func isServersOwn(_ name: String) -> Bool {
        name.utf8.count == 14 && name.lowercased() == "content-length"
            || name.utf8.count == 17 && name.lowercased() == "transfer-encoding"
    }
}
