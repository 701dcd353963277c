// Reads the tree and fails with the place and the replacement for everything that breaks a house rule.
import Foundation
import Testing

@Suite("the house rules hold in the tree")
struct HouseRulesTests {
    private static let root = URL(fileURLWithPath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
    private static let folders = ["Sources", "Tests", "bench", "pages"]
    private static let extensions = HouseRules.pageExtensions.union(["swift", "c", "h", "cpp"])

    private let files: [SourceFile]

    init() throws {
        var files: [SourceFile] = []
        for folder in Self.folders {
            let top = Self.root.appendingPathComponent(folder)
            guard let walk = FileManager.default.enumerator(atPath: top.path) else { continue }
            for case let name as String in walk where Self.extensions.contains((name as NSString).pathExtension) {
                let text = try String(contentsOf: top.appendingPathComponent(name), encoding: .utf8)
                files.append(SourceFile(path: "\(folder)/\(name)", text: text))
            }
        }
        self.files = files.sorted { $0.path < $1.path }
    }

    @Test("every file keeps the rules of size, opening, constructs, imports and expectations")
    func everyFileKeepsTheRules() {
        for file in files {
            for finding in HouseRules.findings(in: file, exceptions: Exceptions.all) {
                Issue.record("\(finding)")
            }
        }
        #expect(files.count > 30, "the tree was not found below \(Self.root.path)")
    }

    @Test("an outside library is imported in exactly one module")
    func outsideLibraryHasOneDoor() throws {
        let folder = Self.root.appendingPathComponent("Sources/C")
        let libraries = Set(try FileManager.default.contentsOfDirectory(atPath: folder.path))
        #expect(libraries.contains("CSQLite"))
        let found = HouseRules.sharedLibraries(files, libraries: libraries, exceptions: Exceptions.all)
        #expect(found.isEmpty, "\(found.map(\.description).joined(separator: "\n"))")
    }

    @Test("every exception is in use and has a reason")
    func everyExceptionIsInUse() {
        let stale = HouseRules.stale(Exceptions.all, in: files)
        #expect(stale.isEmpty, "\(stale.map(\.description).joined(separator: "\n"))")
        for exception in Exceptions.all { #expect(exception.reason.count > 20, "\(exception.path) says no reason") }
    }
}
