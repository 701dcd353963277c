// Alerts as the relay writes them.

import JSON
import Models

enum AlertText {
    static func json(_ alert: Alert) -> [UInt8] { alert.json() }
    static func json(_ change: AlertStateChange) -> [UInt8] { change.json() }
}
