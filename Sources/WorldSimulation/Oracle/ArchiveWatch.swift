// Reads what central's stores were told, as any reader of the open table would: which files a version names, which
// rows they hold, and whether anything that was committed is ever touched again (I10).

import Central
import FoundationEssentials
import SyncProtocol

struct ArchiveWatch {
    private let disk: MemoryDisk
    private let ledger: Ledger
    private var visible: Set<String> = []

    private struct Line: Decodable {
        struct Add: Decodable {
            var path: String
            var dataChange: Bool
        }
        struct Remove: Decodable {
            var path: String
            var dataChange: Bool
        }
        var add: Add?
        var remove: Remove?
    }

    init(disk: MemoryDisk, ledger: Ledger) {
        self.disk = disk
        self.ledger = ledger
    }

    /// What happened in the stores since the last call.
    mutating func look() {
        for change in disk.takeJournal() { note(change) }
    }

    private mutating func note(_ change: StoreChange) {
        let path = "\(change.store)/\(change.key)"
        let isLog = change.key.contains("/_delta_log/")
        if change.removed {
            if visible.contains(path) { ledger.fail("I10", "\(path) is removed while a version names it") }
            return
        }
        if change.replaced, isLog || visible.contains(path) {
            ledger.fail("I10", "\(path) was committed and is written over")
        }
        if isLog, change.key.hasSuffix(".json") {
            commit(change, path)
        } else if change.key.hasPrefix("_columba/quarantine/") {
            quarantine(path)
        }
    }

    private mutating func commit(_ change: StoreChange, _ path: String) {
        let table = String(change.key.prefix { $0 != "/" })
        let decoder = JSONDecoder()
        for line in (disk.bytes(path) ?? []).split(separator: 0x0a) {
            guard let action = try? decoder.decode(Line.self, from: Data(line)) else {
                ledger.fail("I10", "\(path) is not a Delta commit")
                continue
            }
            if let remove = action.remove { visible.remove("\(change.store)/\(table)/\(remove.path)") }
            guard let add = action.add else { continue }
            let file = "\(change.store)/\(table)/\(add.path)"
            if !visible.insert(file).inserted { ledger.fail("I10", "\(file) is in two versions") }
            guard let rows = disk.rows(file) else {
                ledger.fail("I10", "\(file) is committed and does not exist")
                continue
            }
            guard add.dataChange, table != "identities" else { continue }
            for row in rows.rows { ledger.visible(row, in: table) }
        }
    }

    /// The archiver's quarantine: a line each.
    private func quarantine(_ path: String) {
        for line in (disk.bytes(path) ?? []).split(separator: 0x0a) {
            let row = RowScanner.scan(line)
            guard row.n > 0 else { continue }
            ledger.quarantined(RecordSource(relayID: row.relayID, epoch: row.epoch), row.n)
        }
    }

    /// Every file that a version names is there.
    func check() {
        for path in visible where disk.rows(path) == nil {
            ledger.fail("I10", "\(path) is named by a version and gone")
        }
    }
}
