// What a process has used, from /proc.
import Glibc

struct ProcessSample {
    let cpuSeconds: Double
    let peakResidentBytes: Int

    init?(processID: Int32) {
        guard let stat = ProcessSample.read("/proc/\(processID)/stat"),
            let status = ProcessSample.read("/proc/\(processID)/status"),
            let nameEnd = stat.lastIndex(of: ")")
        else { return nil }
        // After the name: state is field 3, utime 14, stime 15 (proc(5)).
        let fields = stat[stat.index(after: nameEnd)...].split(separator: " ")
        guard fields.count > 12, let user = Double(fields[11]), let system = Double(fields[12]) else { return nil }
        cpuSeconds = (user + system) / Double(sysconf(Int32(_SC_CLK_TCK)))
        let peak = status.split(separator: "\n").first { $0.hasPrefix("VmHWM:") }
        peakResidentBytes = (peak?.split(whereSeparator: { !$0.isNumber }).first.flatMap { Int($0) } ?? 0) * 1024
    }

    private static func read(_ path: String) -> String? {
        guard let file = fopen(path, "r") else { return nil }
        defer { fclose(file) }
        var buffer = [UInt8](repeating: 0, count: 16_384)
        let count = fread(&buffer, 1, buffer.count, file)
        return String(decoding: buffer[..<count], as: UTF8.self)
    }
}
