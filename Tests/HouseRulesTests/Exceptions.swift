// The named list: the only places that may depart from a house rule, each with its reason. An entry that is no longer
// needed fails the test as well, so the list stays as short as it can be.

struct Exception: Equatable {
    let path: String
    /// The name of a banned construct, or `import X`.
    let construct: String
    let reason: String
}

enum Exceptions {
    static let all: [Exception] = []
}
