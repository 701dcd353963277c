// What this process is and has: environment variables, own executable, memory and processor use.

import CPosix
import Glibc

package enum Environment {
    /// An environment variable; nil if it is not set.
    package static func variable(_ name: String) -> String? {
        getenv(name).map { String(cString: $0) }
    }

    /// All environment variables as the kernel handed them over.
    package static var variables: [String: String] {
        var result: [String: String] = [:]
        guard var next = columba_environment() else { return result }
        while let entry = next.pointee {
            let text = String(cString: entry)
            if let split = text.firstIndex(of: "=") {
                result[String(text[..<split])] = String(text[text.index(after: split)...])
            }
            next += 1
        }
        return result
    }

    /// The running program's own file.
    package static var executablePath: String {
        var buffer = [UInt8](repeating: 0, count: 4_096)
        let length = readlink("/proc/self/exe", &buffer, buffer.count)
        return length > 0 ? String(decoding: buffer[..<length], as: UTF8.self) : ""
    }

    /// The directory of the running program: its sisters stand beside it.
    package static var executableDirectory: String {
        let path = executablePath
        guard let slash = path.lastIndex(of: "/") else { return "." }
        return slash == path.startIndex ? "/" : String(path[..<slash])
    }

    package static func isTerminal(_ descriptor: Int32) -> Bool { isatty(descriptor) == 1 }
    package static var processID: Int32 { getpid() }

    /// Memory this process holds now; 0 where the kernel does not tell.
    package static var residentBytes: Int {
        guard let statm = try? FileSystem.read("/proc/self/statm") else { return 0 }
        let fields = statm.split(separator: UInt8(ascii: " "))
        guard fields.count > 1, let pages = Int(String(decoding: fields[1], as: UTF8.self)) else { return 0 }
        return pages * sysconf(Int32(_SC_PAGESIZE))
    }

    /// Processor time of all threads so far.
    package static var cpuSeconds: Double {
        var time = timespec()
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }
}
