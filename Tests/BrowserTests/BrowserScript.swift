// Runs one of the scripts that drive a page in a real Chromium (Debian's, headless, nothing but loopback reachable)
// against real servers. A script prints a line for each promise that it saw kept, and fails with the one that was not.

import Foundation
import Glibc
import System
import Testing

enum BrowserScript {
    /// What a script ends with when chromium or playwright is missing.
    private static let skipped: Int32 = 77
    private static let timeoutSeconds = 240.0

    private static let root = URL(fileURLWithPath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent().path

    /// The lines of a script that passed. Cancels the test where a tool is missing.
    static func run(_ script: String) throws -> [String] {
        let python = root + "/.tools/python/bin/python"
        guard FileSystem.isExecutable(python) else {
            try Test.cancel(".tools/python is missing; run make deps")
        }
        let programs = [Environment.executableDirectory, root + "/.build/release", root + "/.build/debug"]
        let folder = try #require(
            programs.first { FileSystem.isExecutable($0 + "/columba-relay") }, "build columba-relay first: swift build")
        let output = try FileSystem.makeTemporaryDirectory(prefix: "columba-browser")
        defer { try? FileSystem.removeTree(output) }
        var configuration = ChildProcess.Configuration(
            executable: python, arguments: ["\(root)/Tests/BrowserTests/scripts/\(script)", "--programs", folder])
        configuration.standardOutput = .file(output + "/out")
        configuration.standardError = .file(output + "/err")
        // The browser and the servers end with the script, even where it hangs.
        configuration.ownProcessGroup = true
        let process = try ChildProcess(configuration)
        let status = try process.wait(timeoutSeconds: timeoutSeconds)
        if status == nil { Glibc.kill(-process.processID, SIGKILL) }
        let text = (try? String(contentsOfFile: output + "/out", encoding: .utf8)) ?? ""
        let errors = (try? String(contentsOfFile: output + "/err", encoding: .utf8)) ?? ""
        print(text, terminator: "")
        if status == .exited(skipped) { try Test.cancel("\(text)") }
        #expect(status == .exited(0), "\(script):\n\(text)\(errors.suffix(3_000))")
        return text.split(separator: "\n").map(String.init)
    }
}
