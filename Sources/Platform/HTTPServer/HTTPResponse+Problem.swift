// A problem as an answer: RFC 9457, with Retry-After where it says when to come again.

package import Models

extension HTTPResponse {
    package init(problem: Problem) {
        self.init(status: problem.status, contentType: Problem.mediaType, body: problem.json())
        if let seconds = problem.retryAfterSeconds { headers.append(("Retry-After", String(seconds))) }
    }
}
