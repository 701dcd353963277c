// What changes while a server runs (F107, F109): a denied client is out at once, new certificates come without a lost
// request.

import Certificates
import HTTPClient
import HTTPServer
import Identity
import Synchronization
import System
import TLS
import Testing
import TestSupport

@Suite("a TLS server while it runs", .serialized)
struct RunningServerTests {
    private let folder: Folder
    private let authority: TestAuthority

    init() throws {
        folder = try Folder()
        authority = try TestAuthority()
    }

    private func tls(_ uri: String, _ name: String, trusting trust: String? = nil) throws -> HTTPClientTLS {
        let file = try folder.file(name, try authority.pair(uri))
        return HTTPClientTLS(
            authoritiesFile: try folder.file("\(name).ca", trust ?? authority.pem), certificateFile: file, keyFile: file
        )
    }

    @Test("a denied client is out on its open connection, others keep theirs")
    func denied() throws {
        let server = try TestServer(try authority.serverCredentials())
        let (bad, good) = (HTTPClient(), HTTPClient())
        let badRequest = HTTPClientRequest(url: server.url, tls: try tls("columba://drone/bad", "bad"))
        let goodRequest = HTTPClientRequest(url: server.url, tls: try tls("columba://drone/good", "good"))
        #expect(try bad.perform(badRequest).status == 200)
        #expect(try good.perform(goodRequest).status == 200)
        #expect(server.server.connections == 2)
        server.deny("columba://drone/bad")
        #expect(eventually { server.server.connections == 1 }, "the denied client's connection was not closed")
        #expect(throws: HTTPClientError.self) { try bad.perform(badRequest) }
        #expect(try good.perform(goodRequest).status == 200)
        #expect(eventually { server.server.connections == 1 })
    }

    @Test("a denied serial number, a denied intermediate and a denied relay take with them what they signed")
    func deniedChains() throws {
        let intermediate = try authority.intermediate("columba://relay/r-1")
        let drone = try intermediate.pair("columba://drone/d-1") + intermediate.pem
        for entry in [
            try #require(try Certificate.parse(drone).first).serial, intermediate.issuer.certificate.serial,
            "columba://relay/r-1", "columba://drone/d-1",
        ] {
            let server = try TestServer(try authority.serverCredentials())
            #expect(try server.answer(to: drone, trusting: authority.pem, in: folder) == "columba://drone/d-1")
            server.deny(entry)
            #expect(try server.answer(to: drone, trusting: authority.pem, in: folder) == nil, "\(entry)")
        }
    }

    @Test("certificate, key and authorities change while requests flow, and none fails")
    func reload() throws {
        let next = try TestAuthority("Next authority")
        let server = try TestServer(try authority.serverCredentials())
        let trust = authority.pem + next.pem
        let stopping = Mutex(false)
        let counts = Mutex((answered: 0, failures: [String]()))
        let threads = try (0..<4).map { index in
            let request = HTTPClientRequest(
                url: server.url, freshConnection: index.isMultiple(of: 2),
                tls: try tls("columba://drone/d-\(index)", "d-\(index)", trusting: trust))
            return WorkerThread(name: "client") {
                let client = HTTPClient()
                while !stopping.withLock({ $0 }) {
                    do {
                        let status = try client.perform(request).status
                        counts.withLock { $0.answered += status == 200 ? 1 : 0 }
                        if status != 200 { counts.withLock { $0.failures.append("\(status)") } }
                    } catch {
                        counts.withLock { $0.failures.append("\(error)") }
                    }
                }
            }
        }
        // A new certificate of another authority, which is trusted along with the old one from now on.
        for round in 1...20 {
            let credentials = try (round.isMultiple(of: 2) ? authority : next).serverCredentials(trusting: trust)
            let before = counts.withLock { $0.answered }
            try server.server.replace(credentials)
            #expect(eventually { counts.withLock { $0.answered } > before + 20 })
        }
        stopping.withLock { $0 = true }
        for thread in threads { thread.join() }
        #expect(counts.withLock { $0.failures } == [])
        // Who belongs to the new authority gets in as well.
        let drone = try next.pair("columba://drone/new")
        #expect(try server.answer(to: drone, trusting: trust, in: folder) == "columba://drone/new")
    }

    @Test("credentials that do not belong together change nothing")
    func badReload() throws {
        let server = try TestServer(try authority.serverCredentials())
        var mixed = try authority.serverCredentials()
        mixed.key = try PrivateKey.generate().pem
        #expect(throws: TLSError.self) { try server.server.replace(mixed) }
        mixed = try authority.serverCredentials()
        mixed.clientAuthorities = "nothing"
        #expect(throws: TLSError.self) { try server.server.replace(mixed) }
        let drone = try authority.pair("columba://drone/d")
        #expect(try server.answer(to: drone, trusting: authority.pem, in: folder) == "columba://drone/d")
    }

    @Test("a certificate that expires on an open connection is refused at its next request")
    func expiryOnOpenConnection() throws {
        let server = try TestServer(try authority.serverCredentials())
        let file = try folder.file("short", try authority.pair("columba://drone/d", until: 2))
        let request = HTTPClientRequest(
            url: server.url,
            tls: HTTPClientTLS(
                authoritiesFile: try folder.file("ca", authority.pem), certificateFile: file, keyFile: file))
        let client = HTTPClient()
        #expect(try client.perform(request).status == 200)
        #expect(eventually { (try? client.perform(request))?.status != 200 })
        #expect(throws: HTTPClientError.self) { try HTTPClient().perform(request) }
    }

    @Test("500 connections at once are verified, each under its own name")
    func many() throws {
        let server = try TestServer(try authority.serverCredentials())
        let trust = try folder.file("ca", authority.pem)
        let answers = Mutex<[String]>([])
        let pairs = try (0..<20).map { try folder.file("d-\($0)", try authority.pair("columba://drone/d-\($0)")) }
        let threads = (0..<10).map { thread in
            WorkerThread(name: "client") {
                // Kept until the end, so that all of them are open together.
                var clients: [HTTPClient] = []
                for index in 0..<50 {
                    let drone = (thread * 50 + index) % pairs.count
                    let client = HTTPClient()
                    clients.append(client)
                    let tls = HTTPClientTLS(
                        authoritiesFile: trust, certificateFile: pairs[drone], keyFile: pairs[drone])
                    let response = try? client.perform(HTTPClientRequest(url: server.url, tls: tls))
                    let text = String(decoding: response?.body ?? [], as: UTF8.self)
                    answers.withLock { $0.append(text == "columba://drone/d-\(drone)" ? "right" : text) }
                }
                withExtendedLifetime(clients) {}
            }
        }
        for thread in threads { thread.join() }
        #expect(answers.withLock { $0.count { $0 == "right" } } == 500)
    }
}
