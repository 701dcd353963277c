// A small file system of a test's own, to be filled by the program under test or by "another program".

import Glibc
import System

package final class SmallDisk {
    package enum Kind: String, CaseIterable, Sendable { case tmpfs, ext4 }

    package let path: String
    private let image: String?

    /// Nil where this user may not mount one; the reason is printed.
    package init?(_ kind: Kind, megabytes: Int, at path: String) throws {
        self.path = path
        try FileSystem.makeDirectories(path)
        guard getuid() == 0 else {
            print("skipped: mounting a small disk needs root")
            return nil
        }
        switch kind {
        case .tmpfs:
            image = nil
            guard mount("tmpfs", path, "tmpfs", 0, "size=\(megabytes)m") == 0 else {
                print("skipped: this machine does not let root mount a tmpfs")
                return nil
            }
        case .ext4:
            let image = path + ".image"
            self.image = image
            let made =
                Self.command("/usr/bin/truncate", ["-s", "\(megabytes)M", image])
                // No blocks reserved for root: full means full.
                && Self.command("/usr/sbin/mkfs.ext4", ["-q", "-F", "-b", "4096", "-m", "0", image])
                && Self.command("/usr/bin/mount", ["-o", "loop", image, path])
            guard made else {
                print("skipped: this machine has no mkfs.ext4 or no loop device")
                return nil
            }
        }
    }

    deinit {
        umount2(path, Int32(MNT_DETACH))
        if let image { try? FileSystem.remove(image) }
    }

    private static func command(_ executable: String, _ arguments: [String]) -> Bool {
        var configuration = ChildProcess.Configuration(executable: executable, arguments: arguments)
        configuration.standardError = .null
        return (try? ChildProcess(configuration).wait(timeoutSeconds: 90))?.isSuccess == true
    }

    package var freeBytes: Int { (try? FileSystem.freeBytes(at: path)) ?? 0 }

    /// Another program takes all the room that is left, down to the last block; `atMost` so many bytes, where what the
    /// relay frees meanwhile is not to be taken too.
    package func fill(atMost limit: Int = .max) {
        var left = limit
        for size in [1 << 20, 1 << 16, 4_096, 512] {
            let bytes = [UInt8](repeating: 1, count: size)
            var number = 0
            while left >= size,
                (try? FileSystem.writeDurably("\(path)/filler\(size).\(UInt32.random(in: 0 ... .max))", bytes)) != nil
            {
                number += 1
                left -= size
                if number > 1_000 { return }
            }
        }
    }

    package func empty() {
        for name in (try? FileSystem.list(path)) ?? [] where name.hasPrefix("filler") {
            try? FileSystem.remove("\(path)/\(name)")
        }
    }
}
