// The theme's colours, computed: every pair that carries text reaches WCAG 2.2's contrast for AA, in light and in dark.

import Foundation
import Testing

@Suite("the pages' theme")
struct PageThemeTests {
    private struct Shade: Equatable {
        var light: [Double]
        var dark: [Double]
    }

    private let shades: [String: Shade]

    init() throws {
        let root = URL(fileURLWithPath: #filePath)
            .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        let css = try ["pages/shared/theme.css", "pages/central/plots.css"].map {
            try String(contentsOf: root.appendingPathComponent($0), encoding: .utf8)
        }.joined(separator: "\n")
        var shades: [String: Shade] = [:]
        for line in css.split(separator: "\n") {
            // "  --ink: light-dark(#0f1b27, #e9eff5);"
            let parts = line.split(whereSeparator: { " :(),;".contains($0) })
            guard parts.count == 4, parts[0].hasPrefix("--"), parts[1] == "light-dark" else { continue }
            shades[String(parts[0].dropFirst(2))] = Shade(
                light: try Self.channels(parts[2]), dark: try Self.channels(parts[3]))
        }
        self.shades = shades
    }

    private static func channels(_ hex: Substring) throws -> [Double] {
        let value = try #require(hex.count == 7 ? Int(hex.dropFirst(), radix: 16) : nil, "\(hex) is #rrggbb")
        return [16, 8, 0].map { Double(value >> $0 & 255) / 255 }
    }

    /// WCAG 2.2, relative luminance.
    private static func luminance(_ channels: [Double]) -> Double {
        let linear = channels.map { $0 <= 0.04045 ? $0 / 12.92 : pow(($0 + 0.055) / 1.055, 2.4) }
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    }

    private static func contrast(_ one: [Double], _ other: [Double]) -> Double {
        let (a, b) = (luminance(one), luminance(other))
        return (max(a, b) + 0.05) / (min(a, b) + 0.05)
    }

    @Test("black on white is 21:1, and grey #767676 on white is just AA: the formula is WCAG's")
    func formula() {
        #expect(abs(Self.contrast([0, 0, 0], [1, 1, 1]) - 21) < 0.001)
        let grey = Double(0x76) / 255
        #expect(abs(Self.contrast([grey, grey, grey], [1, 1, 1]) - 4.54) < 0.01)
    }

    @Test(
        "text reaches 4.5:1 on every surface it stands on",
        arguments: [
            ("ink ink-soft ink-faint", "page panel raised pressed chosen critical-wash warning-wash"),
            ("accent critical warning info good", "panel raised page chosen critical-wash warning-wash"),
            ("ghost", "panel page"), ("map-text", "land sea"),
            ("on-accent", "accent-fill"), ("on-critical", "critical-fill"), ("on-warning", "warning-fill"),
            ("on-info", "info-fill"), ("on-good", "good-fill"), ("ink ink-soft", "share"),
            ("on-ramp-1", "ramp-1"), ("on-ramp-2", "ramp-2"), ("on-ramp-3", "ramp-3"), ("on-ramp-4", "ramp-4"),
            ("on-ramp-5", "ramp-5"), ("on-ramp-6", "ramp-6"), ("on-ramp-7", "ramp-7"),
        ])
    func text(_ inks: String, _ surfaces: String) throws {
        try expect(inks, on: surfaces, atLeast: 4.5)
    }

    @Test(
        "what is drawn, and the edge of what can be pressed, reaches 3:1",
        arguments: [
            ("edge", "panel page raised"), ("drone", "land sea"), ("accent", "panel page raised"),
            ("series-1 series-2 series-3 series-4", "panel"),
            ("series-5 series-6 series-7 series-8 hatch", "panel"),
        ])
    func drawings(_ inks: String, _ surfaces: String) throws {
        try expect(inks, on: surfaces, atLeast: 3)
    }

    private func expect(_ inks: String, on surfaces: String, atLeast limit: Double) throws {
        for ink in inks.split(separator: " ").map(String.init) {
            for surface in surfaces.split(separator: " ").map(String.init) {
                let (text, ground) = (try #require(shades[ink]), try #require(shades[surface]))
                let light = Self.contrast(text.light, ground.light)
                let dark = Self.contrast(text.dark, ground.dark)
                #expect(light >= limit, "\(ink) on \(surface) in light: \(light)")
                #expect(dark >= limit, "\(ink) on \(surface) in dark: \(dark)")
            }
        }
    }
}
