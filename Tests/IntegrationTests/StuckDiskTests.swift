// A disk that hangs (F42): every flush of the relay waits while a file says so. The relay must stop acknowledging,
// go on raising alerts, tell its service manager nothing, and be itself again when the disk is.

import Foundation
import Glibc
import HTTPClient
import System
import Testing
import TestSupport

@Suite("a stuck disk", .serialized)
final class StuckDiskTests {
    let station: Station

    init() throws { station = try Station() }

    deinit { station.end() }

    /// A library to preload whose fsync and fdatasync wait while a file is there; nil without a C compiler.
    private func stallingLibrary() throws -> String? {
        guard let compiler = ["/usr/bin/cc", "/usr/bin/clang"].first(where: FileSystem.isExecutable) else { return nil }
        let source = """
            #define _GNU_SOURCE
            #include <dlfcn.h>
            #include <stdlib.h>
            #include <unistd.h>
            static void wait_for_disk(void) { while (access(getenv("STALL_FILE"), F_OK) == 0) usleep(20000); }
            int fsync(int fd) { wait_for_disk(); return ((int (*)(int))dlsym(RTLD_NEXT, "fsync"))(fd); }
            int fdatasync(int fd) { wait_for_disk(); return ((int (*)(int))dlsym(RTLD_NEXT, "fdatasync"))(fd); }
            """
        let (path, library) = ("\(station.folder)/stall.c", "\(station.folder)/stall.so")
        try source.write(toFile: path, atomically: true, encoding: .utf8)
        let build = ChildProcess.Configuration(
            executable: compiler, arguments: ["-shared", "-fPIC", "-o", library, path, "-ldl"])
        return try ChildProcess(build).wait(timeoutSeconds: 180) == .exited(0) ? library : nil
    }

    @Test("nothing is acknowledged, alerts go out, the watchdog is not fed; afterwards all is well again")
    func stuck() throws {
        guard let library = try stallingLibrary() else {
            try Test.cancel("no C compiler at /usr/bin/cc to build the stalling fsync with")
        }
        let (relay, stall) = (station.relay, "\(station.folder)/stall")
        let manager = try FakeServiceManager(folder: station.folder)
        relay.environment = [
            "LD_PRELOAD": library, "STALL_FILE": stall, "NOTIFY_SOCKET": manager.path, "WATCHDOG_USEC": "900000",
        ]
        try relay.start()
        #expect(try Requests.post(relay, Requests.report(seq: 1)).status == 202)
        #expect(manager.waits(for: "WATCHDOG=1"))
        try "".write(toFile: stall, atomically: true, encoding: .utf8)

        // The first is in the disk's hands, the second waits behind it: neither may be answered 202.
        let inHand = try RawSocket(port: relay.port)
        inHand.send(Self.request(seq: 2))
        poll(nil, 0, 200)
        let queued = try Requests.post(relay, Requests.report(seq: 3))
        #expect(queued.status == 503 && queued.header("retry-after") != nil)
        #expect(Requests.object(queued)["code"] as? String == "disk_stuck")
        #expect(!relay.isReady)
        let low = #","citizens":[{"name":"Ada Martin","peacescore":1}]"#
        #expect(try Requests.post(relay, Requests.report(seq: 4, extra: low)).status == 503)
        #expect((try station.json(relay, "/v1/alerts")["alerts"] as? [Any])?.count == 1)
        let metrics = try Requests.metrics(relay)
        #expect(metrics.contains("columba_relay_disk_stuck_total 1"))
        manager.forget()
        poll(nil, 0, 1_500)
        #expect(manager.count(of: "WATCHDOG=1") == 0, "a relay that cannot store must not claim progress")

        try FileSystem.remove(stall)
        #expect(eventually(within: 20) { relay.isReady })
        #expect(manager.waits(for: "WATCHDOG=1"))
        for seq in 2...4 { #expect(try Requests.post(relay, Requests.report(seq: seq)).status == 202) }
        #expect(try relay.terminate() == .exited(0))
    }

    private static func request(seq: Int) -> String {
        let body = Requests.report(seq: seq)
        return "POST /v1/reports HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            + "Content-Length: \(body.utf8.count)\r\n\r\n\(body)"
    }
}
