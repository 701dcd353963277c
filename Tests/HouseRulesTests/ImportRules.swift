// Rules about who may import whom: an outside library has one door, the two sides of the uplink never see each other,
// and what decides knows no system.

extension HouseRules {
    /// Modules without input and output, and the only modules they may import.
    static let pureModules: [String: Set<String>] = [
        "Models": [],
        "SyncProtocol": ["Models"],
    ]

    static func imports(_ file: SourceFile, exceptions: [Exception]) -> [Finding] {
        var found: [Finding] = []
        for (line, imported) in file.imports {
            guard let instead = objection(file.module, imported) else { continue }
            if exceptions.contains(where: { $0.path == file.path && $0.construct == "import \(imported)" }) { continue }
            found.append(
                Finding(path: file.path, line: line + 1, rule: "no import \(imported) here", instead: instead))
        }
        return found
    }

    private static func objection(_ module: String, _ imported: String) -> String? {
        switch (module, imported) {
        case ("EdgeRelay", "Central"), ("Central", "EdgeRelay"):
            return "the relay and central share only Models and SyncProtocol"
        case (_, "XCTest"):
            return "Swift Testing"
        default:
            guard let allowed = pureModules[module], !allowed.contains(imported) else { return nil }
            return "\(module) has no input and output; it may import "
                + (allowed.isEmpty ? "nothing" : allowed.sorted().joined(separator: ", "))
        }
    }

    /// Every outside library that more than one module imports. `libraries` are the folders of `Sources/C`.
    static func sharedLibraries(_ files: [SourceFile], libraries: Set<String>, exceptions: [Exception]) -> [Finding] {
        var importers: [String: [(module: String, path: String, line: Int)]] = [:]
        for file in files where file.isSwift {
            for (line, imported) in file.imports where libraries.contains(imported) {
                let construct = "import \(imported)"
                if exceptions.contains(where: { $0.path == file.path && $0.construct == construct }) { continue }
                importers[imported, default: []].append((file.module, file.path, line + 1))
            }
        }
        return importers.sorted { $0.key < $1.key }.flatMap { library, places -> [Finding] in
            let modules = Set(places.map(\.module)).sorted()
            guard modules.count > 1 else { return [] }
            return places.sorted { ($0.path, $0.line) < ($1.path, $1.line) }.map {
                Finding(
                    path: $0.path, line: $0.line, rule: "\(library) is imported in exactly one module",
                    instead: "go through the module that wraps it (now: \(modules.joined(separator: ", ")))")
            }
        }
    }
}
