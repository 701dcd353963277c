// What the fleet keeper tells other nodes of a cluster, and takes from them (`FleetSharing` carries it). All of it is
// merged by a maximum, so words may come in any order, late and twice; `fleet.db` keeps the outcome.

import Models
import SyncProtocol
import System

extension FleetKeeper {
    /// What changed here since the last call, but relays' reports, which their listener tells; `all`: all that other
    /// nodes should know.
    package func words(all: Bool) -> [FleetWord] {
        state.withLock { state in
            let relays = all ? Set(state.ledgers.keys) : state.untold
            state.untold = []
            var words = state.incidents.takeUntold(all: all).map { FleetWord.incident($0) }
            for relayID in relays.sorted() {
                guard let ledger = state.ledgers[relayID] else { continue }
                if case let memory = ledger.memory, !memory.isEmpty { words.append(.relay(memory)) }
                if all, let report = ledger.report, let heardAt = ledger.reportedAt {
                    words.append(.report(report, heardAt: heardAt))
                }
            }
            return words
        }
    }

    /// Takes over another node's word. Returns what should stand in its place where this node knows more.
    package func adopt(_ word: FleetWord) -> FleetWord? {
        switch word {
        case .report(let report, let heardAt):
            _ = take(report, heardAt: heardAt)
            return nil
        case .relay(let memory):
            let merged = state.withLock { state in
                var ledger = state.ledgers[memory.relayID] ?? RelayLedger(relayID: memory.relayID)
                ledger.adopt(memory)
                state.ledgers[memory.relayID] = ledger
                state.unsaved.insert(memory.relayID)
                let merged = memory.merged(with: ledger.memory)
                if merged == memory { state.untold.remove(memory.relayID) }
                return merged
            }
            return merged == memory ? nil : .relay(merged)
        case .incident(let incident):
            let newest = state.withLock { state in
                if let relayID = incident.relayID {
                    var ledger = state.ledgers[relayID] ?? RelayLedger(relayID: relayID)
                    if ledger.adopt(incident) {
                        state.ledgers[relayID] = ledger
                        state.unsaved.insert(relayID)
                    }
                }
                return state.incidents.adopt(incident)
            }
            return newest == incident ? nil : .incident(newest)
        }
    }
}
