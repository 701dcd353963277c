// What this machine calls itself.

import Glibc

package enum HostName {
    /// Without the domain; empty where the kernel does not tell.
    package static var current: String {
        var buffer = [CChar](repeating: 0, count: 256)
        guard gethostname(&buffer, buffer.count - 1) == 0 else { return "" }
        let name = buffer.map { UInt8(bitPattern: $0) }.prefix { $0 != 0 && $0 != UInt8(ascii: ".") }
        return String(decoding: name, as: UTF8.self)
    }
}
