// The job files as they are now: read again and again, so that a new or changed one needs no restart. A file that is
// wrong is kept with what is wrong about it; its job does not run, and the others do not notice.

import System

struct JobBook: Sendable {
    struct Broken: Hashable, Sendable {
        var name: String
        var error: JobFileError
    }

    private(set) var jobs: [String: JobDefinition] = [:]
    private(set) var broken: [String: JobFileError] = [:]
    private var texts: [String: [UInt8]] = [:]
    private static let ending = ".sql"

    /// Looks at the folder; false if all is as it was. A folder that is not there has no jobs.
    mutating func look(at directory: String) -> Bool {
        let names = ((try? FileSystem.list(directory)) ?? []).filter { $0.hasSuffix(Self.ending) && !$0.hasPrefix(".") }
        var found: [String: [UInt8]] = [:]
        for file in names {
            let path = "\(directory)/\(file)"
            guard !FileSystem.isDirectory(path) else { continue }
            // A file that cannot be read, or is far too large, is listed as broken: nothing is in it.
            let isSmall = (FileSystem.fileSize(path) ?? .max) <= JobDefinition.maxFileBytes
            found[String(file.dropLast(Self.ending.count))] = isSmall ? (try? FileSystem.read(path)) ?? [] : []
        }
        guard found != texts else { return false }
        texts = found
        read()
        return true
    }

    private mutating func read() {
        jobs = [:]
        broken = [:]
        var writers: [String: String] = [:]
        for (name, bytes) in texts.sorted(by: { $0.key < $1.key }) {
            do throws(JobFileError) {
                guard !bytes.isEmpty else { throw JobFileError("the file is empty, unreadable or too large") }
                let job = try JobDefinition(name: name, text: String(decoding: bytes, as: UTF8.self))
                if case .table(let table, append: _) = job.output {
                    if let other = writers[table] {
                        throw JobFileError("\(other) writes the table \(table) already")
                    }
                    writers[table] = name
                }
                jobs[name] = job
            } catch {
                broken[name] = error
            }
        }
    }

    func text(_ name: String) -> String? { texts[name].map { String(decoding: $0, as: UTF8.self) } }
}
