// What systemd would hear of a service: a datagram socket of the test's own.

import Foundation
import Glibc
import System
import TestSupport

final class FakeServiceManager {
    let path: String
    private let descriptor: Int32
    private(set) var messages: [String] = []

    init(folder: String) throws {
        path = "\(folder)/notify"
        descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue), 0)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: Array(path.utf8).prefix($0.count - 1)) }
        let result = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        guard result == 0 else { throw SystemError(operation: "bind", path: path, errno: errno) }
    }

    deinit { close(descriptor) }

    private func receive() {
        var buffer = [UInt8](repeating: 0, count: 8_192)
        while true {
            let count = recv(descriptor, &buffer, buffer.count, Int32(MSG_DONTWAIT))
            guard count > 0 else { return }
            messages.append(String(decoding: buffer[..<count], as: UTF8.self))
        }
    }

    /// How many messages hold this line.
    func count(of line: String) -> Int {
        receive()
        return messages.filter { $0.split(separator: "\n").contains { $0 == line } }.count
    }

    func waits(for line: String, count: Int = 1, within seconds: Double = 20) -> Bool {
        eventually(within: seconds) { self.count(of: line) >= count }
    }

    func forget() {
        receive()
        messages = []
    }
}
