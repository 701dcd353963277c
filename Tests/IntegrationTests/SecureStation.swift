// Central and a relay that speak TLS, with an authority of their own, made by the same commands that an administrator
// types. Health and figures are asked at the plain loopback ports.

import Foundation
import HTTPClient
import System
import Testing

final class SecureStation {
    let folder: String
    let central: Server
    let relay: Server
    let centralPort: UInt16
    let enrolPort: UInt16
    let relayPort: UInt16
    /// Drones that speak MQTT over TLS, where the station was made with it.
    let mqttPort: UInt16

    init(mqtt: Bool = false) throws {
        folder = try FileSystem.makeTemporaryDirectory(prefix: "columba-tls")
        let ports = try FreePorts.find(6)
        (centralPort, enrolPort, relayPort) = (ports[0], ports[1], ports[2])
        mqttPort = ports[5]
        let mqtt = mqtt ? "mqtt_listen: \"127.0.0.1:\(mqttPort)\", mqtt: {tls: true}," : ""
        let (centralFile, relayFile) = ("\(folder)/central.json5", "\(folder)/relay.json5")
        try """
        {listen: "127.0.0.1:\(ports[0])", enroll_listen: "127.0.0.1:\(ports[1])",
         analyst_listen: "127.0.0.1:\(ports[3])", data_dir: "central", archive: {max_wait_s: 0.3},
         tls: {cert: "ca/central.pem", key: "ca/central.pem", client_ca: "ca/ca.pem", ca_dir: "ca", recheck_s: 0.2}}
        """.write(toFile: centralFile, atomically: true, encoding: .utf8)
        try """
        {relay_id: "north-3", listen: "127.0.0.1:\(ports[2])", console_listen: "127.0.0.1:\(ports[4])",
         data_dir: "relay", central: ["https://127.0.0.1:\(ports[0])"], \(mqtt)
         tls: {cert: "relay-id/cert.pem", key: "relay-id/key.pem", client_ca: "relay-id/ca.pem", recheck_s: 0.2}}
        """.write(toFile: relayFile, atomically: true, encoding: .utf8)
        central = Server("columba-central", configuration: centralFile, port: ports[3], folder: folder)
        relay = Server("columba-relay", configuration: relayFile, port: ports[4], folder: folder)
        try authority(["init"])
        try authority(["server", "--names", "127.0.0.1,localhost"])
    }

    func start() throws {
        try central.start()
        try #require(try enroll("columba://relay/north-3", "relay-id", names: "127.0.0.1").status.isSuccess)
        try relay.start()
    }

    func end() {
        try? relay.kill()
        try? central.kill()
        try? FileSystem.removeTree(folder)
    }

    typealias Outcome = (status: System.ExitStatus, output: String, errors: String)

    /// `columba-central ca VERB --dir …`; its output.
    @discardableResult
    func authority(_ arguments: [String]) throws -> String {
        let all = ["ca", arguments[0], "--dir", "\(folder)/ca"] + arguments.dropFirst()
        let result = try Programs.run("columba-central", all, folder: folder)
        try #require(result.status.isSuccess, "\(all): \(result.errors)")
        return result.output.trimmingCharacters(in: .whitespacesAndNewlines)
    }

    func token(_ identity: String, names: String? = nil) throws -> String {
        try authority(["token", "--for", identity] + (names.map { ["--names", $0] } ?? []))
    }

    func enroll(_ identity: String, _ directory: String, token: String? = nil, names: String? = nil) throws -> Outcome {
        let token = try token ?? self.token(identity, names: names)
        return try Programs.run(
            "columba",
            [
                "enroll", "--central", "https://127.0.0.1:\(enrolPort)", "--ca", "\(folder)/ca/ca.pem", "--token",
                token,
                "--id", identity, "--dir", "\(folder)/\(directory)",
            ], folder: folder)
    }

    func renew(_ directory: String, at port: UInt16) throws -> Outcome {
        try Programs.run(
            "columba",
            ["enroll", "--renew", "--central", "https://127.0.0.1:\(port)", "--dir", "\(folder)/\(directory)"],
            folder: folder)
    }

    // MARK: As a client

    /// Trusts what that drone or relay was given to trust.
    func tls(_ directory: String) -> HTTPClientTLS {
        let pair = "\(folder)/\(directory)/identity.pem"
        let own = "\(folder)/\(directory)/ca.pem"
        return HTTPClientTLS(
            authoritiesFile: FileSystem.exists(own) ? own : "\(folder)/ca/ca.pem", certificateFile: pair, keyFile: pair)
    }

    /// What a server shows to whoever connects, as `openssl s_client` prints it; nil where that program is missing.
    func presentedChain(at port: UInt16) -> String? {
        var client = ChildProcess.Configuration(
            executable: "/usr/bin/openssl", arguments: ["s_client", "-connect", "127.0.0.1:\(port)", "-showcerts"])
        client.standardOutput = .pipe
        let answer = try? ChildProcess(client).converse(timeoutSeconds: 30, maxOutputBytes: 1 << 20)
        return answer.map { String(decoding: $0.output, as: UTF8.self) }
    }

    func ask(
        _ method: String, _ port: UInt16, _ path: String, as directory: String, body: String? = nil,
        type: String = "application/json", client: HTTPClient = HTTPClient()
    ) throws -> HTTPClientResponse {
        try client.perform(
            HTTPClientRequest(
                method: method, url: "https://127.0.0.1:\(port)\(path)", headers: [("Content-Type", type)],
                body: body.map { Array($0.utf8) }, timeoutSeconds: 60, tls: tls(directory)))
    }

    func post(
        _ body: String, as directory: String, type: String = "application/json", client: HTTPClient = HTTPClient()
    )
        throws -> HTTPClientResponse
    {
        try ask("POST", relayPort, "/v1/reports", as: directory, body: body, type: type, client: client)
    }

    static func code(_ response: HTTPClientResponse) -> String? { Requests.object(response)["code"] as? String }

    /// The figures of a plain port.
    func json(_ server: Server, _ path: String) throws -> [String: Any] {
        Requests.object(try HTTPClient().perform(HTTPClientRequest(url: server.address + path)))
    }

    func archivedReports() throws -> Int {
        (try json(central, "/v1/status")["archive"] as? [String: Any])?["reports"] as? Int ?? -1
    }

    func metric(_ server: Server, _ name: String) throws -> Double? {
        let response = try HTTPClient().perform(HTTPClientRequest(url: server.address + "/metrics"))
        let line = String(decoding: response.body, as: UTF8.self).split(separator: "\n").first {
            $0.hasPrefix(name + " ")
        }
        return line.flatMap { Double($0.dropFirst(name.count + 1)) }
    }
}
