// swift-tools-version: 6.2
// Columba uses no Swift package from outside: only the toolchain and C libraries of the distribution.
// Each outside library is declared once (a `systemLibrary` target) and imported in exactly one module.
import PackageDescription

let strict: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .treatAllWarnings(as: .error),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("InternalImportsByDefault"),
]
let strictC: [CSetting] = [.unsafeFlags(["-Wall", "-Wextra", "-Werror", "-O2"])]
let strictCXX: [CXXSetting] = [.unsafeFlags(["-Wall", "-Wextra", "-Werror", "-O2"])]

func system(_ name: String, _ pkgConfig: String, _ package: String) -> Target {
    .systemLibrary(name: name, path: "Sources/C/\(name)", pkgConfig: pkgConfig, providers: [.apt([package])])
}
/// A thin C or C++ shim: what Swift cannot call (variadic functions, macros, C++).
func shim(_ name: String, _ dependencies: [Target.Dependency], link: [String] = []) -> Target {
    .target(
        name: name, dependencies: dependencies, path: "Sources/C/\(name)", cSettings: strictC, cxxSettings: strictCXX,
        linkerSettings: link.map { .linkedLibrary($0) })
}
/// A wrapper around one outside library or one service of the operating system.
func platform(_ name: String, _ dependencies: [Target.Dependency] = []) -> Target {
    .target(name: name, dependencies: dependencies, path: "Sources/Platform/\(name)", swiftSettings: strict)
}
func module(_ name: String, _ dependencies: [Target.Dependency] = []) -> Target {
    .target(name: name, dependencies: dependencies, swiftSettings: strict)
}
func program(_ name: String, _ dependencies: [Target.Dependency], path: String? = nil) -> Target {
    .executableTarget(name: name, dependencies: dependencies, path: path, swiftSettings: strict)
}
func tests(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
    .testTarget(name: name, dependencies: dependencies + ["TestSupport"], swiftSettings: strict)
}

let package = Package(
    name: "columba",
    products: [
        .executable(name: "columba", targets: ["columba"]),
        .executable(name: "columba-relay", targets: ["columba-relay"]),
        .executable(name: "columba-central", targets: ["columba-central"]),
    ],
    targets: [
        // Outside libraries
        system("CSQLite", "sqlite3", "libsqlite3-dev"),
        system("CZstd", "libzstd", "libzstd-dev"),
        system("CZlib", "zlib", "zlib1g-dev"),
        system("CCrypto", "libcrypto", "libssl-dev"),
        system("CXXHash", "libxxhash", "libxxhash-dev"),
        system("CMicrohttpd", "libmicrohttpd", "libmicrohttpd-dev"),
        system("CCurl", "libcurl", "libcurl4-openssl-dev"),
        system("CMosquitto", "libmosquitto", "libmosquitto-dev"),
        system("CNATS", "libnats", "libnats-dev"),
        system("CGnuTLS", "gnutls", "libgnutls28-dev"),
        shim("CTLS", ["CGnuTLS"]),
        shim("CHTTPServer", ["CMicrohttpd", "CGnuTLS", "CTLS"]),
        shim("CHTTPClient", ["CCurl"], link: ["ssl", "crypto"]),
        // simdjson's header is C++, so no module map can wrap it: CJSON includes and links it (libsimdjson-dev).
        shim("CJSON", [], link: ["simdjson"]),
        shim("CPosix", []),
        shim("CSQLiteVFS", ["CSQLite"]),

        // One module per outside library
        platform("SQLite", ["CSQLite", "CSQLiteVFS"]),
        platform("Compression", ["CZstd", "CZlib"]),
        platform("Crypto", ["CCrypto", "CXXHash"]),
        platform("Certificates", ["CCrypto"]),
        platform("JSON", ["CJSON", "Models"]),
        platform("TLS", ["CTLS", "System"]),
        platform("HTTPServer", ["CHTTPServer", "Models", "TLS"]),
        platform("HTTPClient", ["CHTTPClient"]),
        platform("MQTTClient", ["CMosquitto"]),
        platform("NATS", ["CNATS", "System"]),
        platform("MQTTServer", ["System", "TLS"]),
        platform("System", ["CPosix"]),
        platform("Metrics"),
        platform("Log"),
        platform("Configuration"),
        platform("SegmentedLog", ["SQLite", "Crypto", "System"]),
        platform("ObjectStore", ["Crypto", "HTTPClient", "Models", "System"]),
        platform("DuckDB", ["System"]),
        platform("PageFiles", ["Compression", "Configuration", "Crypto", "HTTPServer", "Models", "System"]),

        // What Columba is
        module("Models"),
        // Certificates as both sides use them: configuration, renewal, deny-list, who may ask what.
        module(
            "Identity",
            ["Certificates", "Configuration", "HTTPClient", "HTTPServer", "Log", "Metrics", "Models", "System", "TLS"]),
        module("SyncProtocol", ["Models"]),
        // The relay's rules, apart from the relay: `columba rules test` evaluates them as well.
        module("AlertRules", ["Models", "JSON", "Crypto", "Configuration"]),
        module(
            "EdgeRelay",
            [
                "Models", "AlertRules", "SyncProtocol", "JSON", "Compression", "Crypto", "HTTPServer", "HTTPClient",
                "MQTTClient", "MQTTServer", "SQLite", "SegmentedLog", "Metrics", "Log", "System", "Configuration",
                "Certificates", "Identity", "TLS", "PageFiles",
            ]),
        module(
            "Central",
            [
                "Models", "SyncProtocol", "JSON", "Compression", "Crypto", "HTTPServer", "SegmentedLog",
                "ObjectStore", "DuckDB", "Metrics", "Log", "System", "Configuration", "Certificates", "Identity",
                "AlertRules", "SQLite", "NATS", "PageFiles",
            ]),
        module("DroneClient", ["HTTPClient", "System"]),
        module("Simulation", ["DroneClient", "Models", "HTTPClient", "System"]),
        // Drones, relays and central in one process from one seed: the only module that knows both sides.
        module(
            "WorldSimulation",
            [
                "Models", "AlertRules", "SyncProtocol", "JSON", "Compression", "Crypto", "EdgeRelay", "Central",
                "DuckDB", "ObjectStore", "SegmentedLog", "Simulation", "System",
            ]),

        // Programs
        program("columba-relay", ["EdgeRelay", "Log", "Models", "System"]),
        program("columba-central", ["Central", "DuckDB", "Log", "System"]),
        program("columba-sim", ["WorldSimulation", "System"]),
        // The columba program's commands are a library, so that tests can reach them.
        module(
            "ColumbaCommands",
            [
                "Simulation", "DroneClient", "AlertRules", "Models", "JSON", "Configuration", "Crypto", "System",
                "Certificates",
                "HTTPClient", "Identity",
            ]),
        program("columba", ["ColumbaCommands"]),
        program(
            "columba-bench",
            [
                "CHTTPClient", "System", "Simulation", "DroneClient", "Models", "SyncProtocol", "Compression", "Crypto",
                "HTTPClient",
            ],
            path: "bench/columba-bench"),

        // Tests
        .target(
            name: "TestSupport", dependencies: ["Certificates", "Crypto", "System"], path: "Tests/TestSupport",
            swiftSettings: strict),
        tests("ModelsTests", ["Models", "JSON", "Crypto"]),
        tests("SyncProtocolTests", ["SyncProtocol", "Models", "JSON"]),
        tests(
            "PlatformTests",
            ["SQLite", "Compression", "Crypto", "HTTPServer", "HTTPClient", "System", "Metrics", "Log"]),
        tests("MQTTServerTests", ["MQTTServer", "System", "TLS", "Certificates"]),
        tests("SegmentedLogTests", ["SegmentedLog", "SQLite", "Crypto", "System"]),
        tests(
            "EdgeRelayTests",
            [
                "EdgeRelay", "AlertRules", "MQTTClient", "MQTTServer", "Models", "SyncProtocol", "JSON", "System",
                "Log",
                "Configuration", "Crypto", "SegmentedLog", "HTTPClient", "HTTPServer", "Metrics", "Identity",
            ]),
        tests(
            "CentralTests",
            [
                "Central", "Models", "SyncProtocol", "JSON", "Crypto", "Compression", "DuckDB", "ObjectStore",
                "SegmentedLog", "System", "Log", "Configuration", "NATS", "Simulation", "WorldSimulation",
            ]),
        tests("ObjectStoreTests", ["Crypto", "HTTPClient", "Models", "ObjectStore", "System"]),
        tests("NATSTests", ["NATS", "System", "Certificates"]),
        tests(
            "StreamTests",
            ["Central", "NATS", "Models", "SyncProtocol", "JSON", "Crypto", "Compression", "System", "Log"]),
        tests("WorldSimulationTests", ["WorldSimulation"]),
        tests("DroneClientTests", ["DroneClient", "Simulation", "System"]),
        tests(
            "SimulationTests", ["Simulation", "DroneClient", "ColumbaCommands", "Models", "JSON", "Crypto", "System"]),
        tests(
            "IntegrationTests",
            [
                "HTTPClient", "HTTPServer", "JSON", "Models", "SyncProtocol", "Compression", "Crypto", "Simulation",
                "System", "Certificates", "ColumbaCommands", "DroneClient",
            ]),
        tests(
            "IdentityTests",
            ["Identity", "Certificates", "HTTPServer", "HTTPClient", "Models", "Log", "System", "TLS", "MQTTServer"]),
        tests("PageFilesTests", ["PageFiles", "HTTPServer", "Configuration", "Models", "Compression", "System"]),
        // Real browsers on real servers: the scripts are Python, the programs are those of this build.
        .testTarget(
            name: "BrowserTests", dependencies: ["System", "TestSupport"], exclude: ["scripts"], swiftSettings: strict),
        tests("HouseRulesTests", []),
    ],
    cxxLanguageStandard: .cxx17
)
