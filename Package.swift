// swift-tools-version: 6.2
// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import PackageDescription

/// On in every target: `any` is written out (SE-0335), imports are internal unless said otherwise (SE-0409), members
/// come only from what a file imports (SE-0444), and a plain async function runs where its caller runs (SE-0461),
/// which is what keeps a request on its event loop.
let settings: [SwiftSetting] = [
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
    // Debug builds, and so every test, still check it; in a release build it costs every request about 3 %.
    .unsafeFlags(["-enforce-exclusivity=unchecked"], .when(configuration: .release)),
]

let nio: Target.Dependency = .product(name: "NIOCore", package: "swift-nio")
let posix: Target.Dependency = .product(name: "NIOPosix", package: "swift-nio")
let alpn: Target.Dependency = .product(name: "NIOTLS", package: "swift-nio")
let webSocket: Target.Dependency = .product(name: "NIOWebSocket", package: "swift-nio")
let embedded: Target.Dependency = .product(name: "NIOEmbedded", package: "swift-nio")
let http1: Target.Dependency = .product(name: "NIOHTTP1", package: "swift-nio")
let tls: Target.Dependency = .product(name: "NIOSSL", package: "swift-nio-ssl")
let log: Target.Dependency = .product(name: "Logging", package: "swift-log")
let yams: Target.Dependency = .product(name: "Yams", package: "Yams")
let crypto: Target.Dependency = .product(name: "Crypto", package: "swift-crypto")
let cryptoExtras: Target.Dependency = .product(name: "CryptoExtras", package: "swift-crypto")
let grdb: Target.Dependency = .product(name: "GRDB", package: "GRDB.swift")
let sqlite: Target.Dependency = .product(name: "GRDBSQLite", package: "GRDB.swift")
let hummingbird: Target.Dependency = .product(name: "Hummingbird", package: "hummingbird")
let httpTypes: Target.Dependency = .product(name: "HTTPTypes", package: "swift-http-types")
let lifecycle: Target.Dependency = .product(name: "ServiceLifecycle", package: "swift-service-lifecycle")
let subprocess: Target.Dependency = .product(name: "Subprocess", package: "swift-subprocess")
let system: Target.Dependency = .product(name: "SystemPackage", package: "swift-system")
let arguments: Target.Dependency = .product(name: "ArgumentParser", package: "swift-argument-parser")

let package = Package(
    name: "parley",
    products: [.executable(name: "parley", targets: ["parley"])],
    dependencies: [
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
        .package(url: "https://github.com/apple/swift-nio-ssl", from: "2.37.6"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/apple/swift-crypto", from: "4.5.2"),
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/groue/GRDB.swift", from: "7.10.0"),
        // Without what needs all of Foundation.
        .package(
            url: "https://github.com/hummingbird-project/hummingbird", from: "2.28.1", traits: ["ConfigurationSupport"]),
        .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
        .package(url: "https://github.com/swiftlang/swift-subprocess", from: "1.0.2", traits: []),
        // Only for the type of paths in swift-subprocess's interface.
        .package(url: "https://github.com/apple/swift-http-types", from: "1.8.0", traits: []),
        .package(url: "https://github.com/apple/swift-system", from: "1.5.0"),
    ],
    targets: [
        .target(name: "ParleyCore", dependencies: [nio], swiftSettings: settings),
        .target(name: "CParleyBytes"),
        .target(name: "CParleyMemory", dependencies: [sqlite]),
        .target(name: "CParleyPrices"),
        .target(name: "ParleyWire", dependencies: ["ParleyCore", "CParleyBytes", nio], swiftSettings: settings),
        .target(
            name: "ParleyDialects", dependencies: ["ParleyCore", "ParleyWire", "CParleyBytes", nio],
            swiftSettings: settings),
        .target(
            name: "ParleyProviders",
            dependencies: [
                "ParleyCore", "ParleyWire", "ParleyDialects", nio, crypto, cryptoExtras, subprocess, system,
            ],
            swiftSettings: settings),
        .target(name: "ParleyModels", dependencies: ["ParleyCore", nio], swiftSettings: settings),
        .target(
            name: "ParleyAccess", dependencies: ["ParleyCore", "CParleyPrices", crypto, nio], swiftSettings: settings),
        .target(
            name: "ParleyStore",
            dependencies: ["ParleyCore", "ParleyWire", "ParleyAccess", "CParleyMemory", grdb, sqlite, nio],
            swiftSettings: settings),
        .target(
            name: "ParleyConfiguration",
            dependencies: [
                "ParleyCore", "ParleyWire", "ParleyProviders", "ParleyModels", "ParleyAccess", nio, yams,
            ],
            swiftSettings: settings),
        .target(
            name: "ParleyGateway",
            dependencies: [
                "ParleyCore", "ParleyWire", "ParleyDialects", "ParleyProviders", "ParleyModels", "ParleyAccess",
                "ParleyConfiguration", nio, posix, http1, webSocket, alpn, tls, log,
            ],
            swiftSettings: settings),
        .target(
            name: "ParleyConsole",
            dependencies: [
                "ParleyCore", "ParleyWire", "ParleyAccess", "ParleyConfiguration", "ParleyProviders", hummingbird,
                httpTypes, lifecycle, nio, posix, log,
            ],
            swiftSettings: settings),
        .executableTarget(
            name: "parley",
            dependencies: [
                "ParleyCore", "ParleyConfiguration", "ParleyGateway", "ParleyModels", "ParleyProviders",
                "ParleyWire", arguments, log, nio, posix, http1, tls, "ParleyAccess", "ParleyStore", "ParleyConsole",
                "CParleyMemory",
            ],
            swiftSettings: settings),
        .target(name: "ParleyTestKit", dependencies: [nio, posix, http1, webSocket, tls], swiftSettings: settings),
        .executableTarget(
            name: "scripted-upstream", dependencies: ["ParleyTestKit", nio, posix], swiftSettings: settings),
        .testTarget(
            name: "ParleyWireTests", dependencies: ["ParleyWire", "ParleyCore", "CParleyBytes", "ParleyTestKit", nio],
            swiftSettings: settings),
        .testTarget(
            name: "ParleyDialectsTests",
            dependencies: ["ParleyDialects", "ParleyWire", "ParleyCore", "ParleyTestKit", nio],
            swiftSettings: settings),
        .testTarget(
            name: "ParleyProvidersTests",
            dependencies: [
                "ParleyProviders", "ParleyDialects", "ParleyWire", "ParleyCore", "ParleyTestKit", nio, crypto,
                cryptoExtras,
            ],
            swiftSettings: settings),
        .testTarget(
            name: "ParleyModelsTests", dependencies: ["ParleyModels", "ParleyCore", nio], swiftSettings: settings),
        .testTarget(
            name: "ParleyAccessTests", dependencies: ["ParleyAccess", "ParleyCore", "ParleyWire", nio],
            swiftSettings: settings),
        .testTarget(
            name: "ParleyStoreTests", dependencies: ["ParleyStore", "ParleyAccess", "ParleyCore", grdb, nio],
            swiftSettings: settings),
        .testTarget(
            name: "ParleyConsoleTests", dependencies: ["ParleyConsole", "ParleyAccess", "ParleyProviders", httpTypes],
            swiftSettings: settings),
        .testTarget(
            name: "ParleyConfigurationTests",
            dependencies: ["ParleyConfiguration", "ParleyAccess", "ParleyProviders", "ParleyCore"],
            swiftSettings: settings),
        .testTarget(
            name: "ParleyGatewayTests",
            dependencies: [
                "ParleyGateway", "ParleyConfiguration", "ParleyAccess", "ParleyModels", "ParleyProviders",
                "ParleyDialects", "ParleyWire", "ParleyCore", "ParleyTestKit", nio, posix, http1, tls, log, embedded,
            ],
            swiftSettings: settings),
        .testTarget(
            name: "ParleyTestKitTests", dependencies: ["ParleyTestKit", nio, posix], swiftSettings: settings),
    ],
    swiftLanguageModes: [.v6]
)

// Only for `script/fuzz`, which sets this: everything is then built with libFuzzer's coverage.
if Context.environment["PARLEY_FUZZ"] != nil {
    package.targets += [
        .target(name: "CFuzzer", path: "Fuzz/CFuzzer"),
        .executableTarget(
            name: "parley-fuzz",
            dependencies: [
                "CFuzzer", "ParleyCore", "ParleyWire", "ParleyDialects", "ParleyProviders", "ParleyGateway",
                "ParleyAccess", "ParleyStore", nio, http1,
            ],
            path: "Fuzz/parley-fuzz", swiftSettings: settings,
            // The linker that is used by default stumbles over the debug information of instrumented code.
            linkerSettings: [.unsafeFlags(["-use-ld=lld"])]),
    ]
}
