// Where the NATS servers are and how we show who we are.

package struct NATSConfiguration: Sendable, Equatable {
    package struct TLS: Sendable, Equatable {
        /// PEM; nil: the system's authorities.
        package var authoritiesFile: String?
        package var certificateFile: String?
        package var keyFile: String?

        package init(authoritiesFile: String? = nil, certificateFile: String? = nil, keyFile: String? = nil) {
            self.authoritiesFile = authoritiesFile
            self.certificateFile = certificateFile
            self.keyFile = keyFile
        }
    }

    /// `nats://host:port` or `tls://host:port`, one for each server of the cluster: any of them will do.
    package var urls: [String]
    /// Shown by the servers' monitoring.
    package var name: String
    package var user: String?
    package var password: String?
    package var token: String?
    /// A file of `nsc`, with a JWT and its seed.
    package var credentialsFile: String?
    package var tls: TLS?
    package var connectSeconds = 2.0
    /// Between two attempts at the same server, and at most so much more by chance.
    package var reconnectSeconds = 0.25
    package var reconnectJitterSeconds = 0.25
    /// A dead connection is noticed after about twice this.
    package var pingSeconds = 2.0
    /// Of a request to the server.
    package var requestSeconds = 5.0

    package init(urls: [String], name: String) {
        precondition(!urls.isEmpty, "a NATS connection needs the address of a server")
        self.urls = urls
        self.name = name
    }
}

/// What happened to a connection, for the log. No secrets in it.
package enum NATSEvent: Sendable, Equatable {
    case disconnected(reason: String)
    case reconnected(server: String)
    case closed(reason: String)
    /// Something that the library dropped or could not do by itself.
    case problem(String)
}
