// Cursor on Target: the XML, as other libraries read it, and its way over UDP and TCP.

import EdgeRelay
import Foundation
import Glibc
import Models
import System
import Testing
import TestSupport

/// A UDP or TCP socket on loopback that remembers what came.
private final class CoTReceiver {
    private let descriptor: Int32
    private var connections: [Int32] = []
    private(set) var received: [UInt8] = []
    let port: UInt16

    init(stream: Bool, port wanted: UInt16 = 0) throws {
        let type = Int32((stream ? SOCK_STREAM : SOCK_DGRAM).rawValue) | Int32(SOCK_NONBLOCK.rawValue)
        descriptor = socket(AF_INET, type, 0)
        var reuse: Int32 = 1
        setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &reuse, socklen_t(MemoryLayout<Int32>.size))
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = wanted.bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let socket = descriptor
        let result = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { generic in
                bind(socket, generic, length) == 0 ? getsockname(socket, generic, &length) : -1
            }
        }
        port = UInt16(bigEndian: address.sin_port)
        try #require(result == 0 && (!stream || listen(descriptor, 8) == 0), "errno \(errno)")
    }

    deinit { stop() }

    private var isOpen = true
    func stop() {
        guard isOpen else { return }
        isOpen = false
        for connection in connections { close(connection) }
        close(descriptor)
    }

    var text: String {
        let accepted = accept(descriptor, nil, nil)
        if accepted >= 0 { connections.append(accepted) }
        var buffer = [UInt8](repeating: 0, count: 65_536)
        for source in connections + [descriptor] {
            while case let count = recv(source, &buffer, buffer.count, Int32(MSG_DONTWAIT)), count > 0 {
                received += buffer[..<count]
            }
        }
        return String(decoding: received, as: UTF8.self)
    }

    var connectionCount: Int { connections.count }

    func events() -> Int { text.components(separatedBy: "</event>").count - 1 }
}

@Suite("Cursor on Target", .serialized)
struct CursorOnTargetTests {
    private static let script = """
        import sys, xml.etree.ElementTree as ET, takproto, pytak
        text = open(sys.argv[1], encoding="utf-8").read()
        event = ET.fromstring(text)
        point = event.find("point")
        message = takproto.parse_proto(takproto.xml2proto(text)).cotEvent
        assert message.uid == event.get("uid") and message.type == event.get("type"), message
        assert abs(message.lat - float(point.get("lat"))) < 1e-9, message
        assert message.staleTime > message.sendTime > 0, message
        assert pytak.cot_time()[-1] == event.get("time")[-1] == "Z"
        print(event.get("version"), event.get("uid"), event.get("type"), point.get("lat"), point.get("lon"))
        print(event.find("detail/contact").get("callsign"))
        print(event.find("detail/remarks").text)
        print(event.find("detail/emergency") is not None)
        """

    @Test("PyTAK's library reads the event; names are escaped, whatever they hold")
    func parsed() throws {
        let folder = try FileSystem.makeTemporaryDirectory(prefix: "columba-cot")
        defer { try? FileSystem.removeTree(folder) }
        let name = "Ada <b>&amp; \"O'Neil\"\u{1}\n]]> \u{1F600}"
        let alert = DeliveryFixture.alert(1, citizen: name)
        let event = CursorOnTargetEvent(alert, staleSeconds: 60, now: alert.raisedAt)
        guard TestPython.path != nil else {
            withKnownIssue("the tests' Python is missing (make deps): the event is not read by PyTAK") {
                Issue.record("skipped")
            }
            return
        }
        try event.xml.write(toFile: "\(folder)/event.xml", atomically: true, encoding: .utf8)
        let lines = try TestPython.run(Self.script, ["\(folder)/event.xml"], folder: folder)
        #expect(
            lines == """
                2.0 \(alert.alertID) b-a-o-tbl 48.8566 2.3522
                low-peacescore pw-000123
                CRITICAL low-peacescore; Ada <b>&amp; "O'Neil"\u{FFFD}\n]]> \u{1F600}; value 12.5, limit 20.0; \
                drone pw-000123; observed \(alert.observedAt.rfc3339)
                True

                """)
    }

    @Test("severities have types of their own, which can be set")
    func types() {
        let alert = DeliveryFixture.alert(1, severity: .warning)
        func xml(_ types: [AlertSeverity: String]) -> String {
            CursorOnTargetEvent(alert, types: types, staleSeconds: 60, now: alert.raisedAt).xml
        }
        #expect(xml([:]).contains(#"type="b-m-p-s-m""#) && !xml([:]).contains("<emergency"))
        #expect(xml([.warning: "b-a-g"]).contains(#"type="b-a-g""#))
    }

    @Test("an alert leaves as one datagram over UDP")
    func datagram() throws {
        let receiver = try CoTReceiver(stream: false)
        let fixture = try DeliveryFixture()
        let delivery = try fixture.start(#"{cot: {url: "udp://127.0.0.1:\#(receiver.port)", include_names: false}}"#)
        delivery.offer(DeliveryFixture.alert(1), rule: DeliveryFixture.rule())
        #expect(eventually { receiver.events() == 1 })
        #expect(!receiver.text.contains("Ada") && receiver.text.contains("uid=\"\(DeliveryFixture.alert(1).alertID)\""))
    }

    @Test("over TCP the connection is kept, and made anew when the server was away; no alert is lost")
    func stream() throws {
        let first = try CoTReceiver(stream: true)
        let port = first.port
        let fixture = try DeliveryFixture()
        let delivery = try fixture.start(#"{cot: {url: "tcp://127.0.0.1:\#(port)"}}"#)
        for number in 1...3 { delivery.offer(DeliveryFixture.alert(number), rule: DeliveryFixture.rule()) }
        #expect(eventually { first.events() == 3 })
        #expect(first.connectionCount == 1)
        first.stop()
        delivery.offer(DeliveryFixture.alert(4), rule: DeliveryFixture.rule())
        #expect(eventually { delivery.deliveries(of: DeliveryFixture.alert(4).alertID).first?.lastError != nil })
        let second = try CoTReceiver(stream: true, port: port)
        #expect(eventually(within: 15) { second.events() == 1 })
        #expect(eventually { delivery.deliveries(of: DeliveryFixture.alert(4).alertID).first?.state == .delivered })
    }
}
