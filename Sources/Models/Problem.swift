// An error as a client sees it: RFC 9457 problem details. `code` is for programs and stays the same for ever; `detail`
// tells a person what would be right. Neither ever repeats a value of a report (I9).

package struct Problem: Error, Hashable, Sendable {
    /// The HTTP status.
    package var status: Int
    /// Stable, snake_case: `missing_field`.
    package var code: String
    package var detail: String
    /// Where in the request: `citizens[3].name`.
    package var field: String?
    /// For 429 and 503.
    package var retryAfterSeconds: Int?

    package init(
        status: Int, code: String, detail: String, field: String? = nil, retryAfterSeconds: Int? = nil
    ) {
        precondition((400...599).contains(status), "a problem's status is an HTTP error")
        self.status = status
        self.code = code
        self.detail = detail
        self.field = field
        self.retryAfterSeconds = retryAfterSeconds
    }

    package static let mediaType = "application/problem+json"

    /// The body: `type`, `title`, `status`, `code`, `detail`, and `field` where one is at fault.
    package func json() -> [UInt8] {
        var output: [UInt8] = []
        output.reserveCapacity(160 + detail.utf8.count)
        appendJSON(to: &output)
        return output
    }

    package func appendJSON(to output: inout [UInt8]) {
        output.append(contentsOf: #"{"type":"about:blank","title":"#.utf8)
        JSONText.appendString(Self.title(of: status), to: &output)
        output.append(contentsOf: #","status":"#.utf8)
        JSONText.appendInteger(Int64(status), to: &output)
        output.append(contentsOf: #","code":"#.utf8)
        JSONText.appendString(code, to: &output)
        output.append(contentsOf: #","detail":"#.utf8)
        JSONText.appendString(detail, to: &output)
        if let field {
            output.append(contentsOf: #","field":"#.utf8)
            JSONText.appendString(field, to: &output)
        }
        output.append(0x7d)
    }

    /// The phrase of RFC 9110, as RFC 9457 asks for `about:blank`.
    private static func title(of status: Int) -> String {
        switch status {
        case 400: "Bad Request"
        case 401: "Unauthorized"
        case 403: "Forbidden"
        case 404: "Not Found"
        case 405: "Method Not Allowed"
        case 408: "Request Timeout"
        case 409: "Conflict"
        case 410: "Gone"
        case 411: "Length Required"
        case 412: "Precondition Failed"
        case 413: "Content Too Large"
        case 414: "URI Too Long"
        case 415: "Unsupported Media Type"
        case 422: "Unprocessable Content"
        case 429: "Too Many Requests"
        case 431: "Request Header Fields Too Large"
        case 500: "Internal Server Error"
        case 501: "Not Implemented"
        case 502: "Bad Gateway"
        case 503: "Service Unavailable"
        case 504: "Gateway Timeout"
        case 507: "Insufficient Storage"
        default: status < 500 ? "Client Error" : "Server Error"
        }
    }
}
