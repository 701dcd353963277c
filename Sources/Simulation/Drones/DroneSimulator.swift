// A fleet of simulated drones: who flies where, all from one seed.
import Models

package struct DroneSimulator: Sendable {
    package struct Configuration: Sendable {
        package var drones: Int
        package var seed: UInt64
        /// The same for the whole fleet. A run that is to send new reports needs one that no run before it had.
        package var boot: String
        /// The share of reports in which one citizen's score is below 20.
        package var alertShare: Double

        package init(drones: Int, seed: UInt64, boot: String, alertShare: Double = 0.01) {
            precondition(drones > 0, "a fleet has at least one drone")
            precondition(Identifier.isValidBoot(boot), "a boot is 1 to 32 of A-Z a-z 0-9 . _ -")
            precondition((0...1).contains(alertShare), "a share is between 0 and 1")
            self.drones = drones
            self.seed = seed
            self.boot = boot
            self.alertShare = alertShare
        }
    }

    /// In the order of their numbers; regions alternate. Each is a value: take it, and it flies by itself.
    package let drones: [SimulatedDrone]

    package init(_ configuration: Configuration) {
        drones = (0..<configuration.drones).map {
            SimulatedDrone(
                index: $0, seed: configuration.seed, boot: configuration.boot, alertShare: configuration.alertShare)
        }
    }

    /// A boot that no other run has, from 64 random bits.
    package static func uniqueBoot() -> String {
        var random = SystemRandomNumberGenerator()
        return SimulatedDrone.hex(random.next())
    }
}
