// A path without links and relative parts: configuration files of child processes need one that holds anywhere.
import Glibc

enum RealPath {
    static func of(_ path: String) -> String? {
        guard let resolved = realpath(path, nil) else { return nil }
        defer { free(resolved) }
        return String(cString: resolved)
    }
}
