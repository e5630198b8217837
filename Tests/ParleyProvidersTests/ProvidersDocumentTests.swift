// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import Foundation
import ParleyCore
import ParleyDialects
import Testing

@testable import ParleyProviders

/// Keeps `docs/providers.md` equal to the catalogue and the registry.
@Suite("The page on providers")
struct ProvidersDocumentTests {
    /// The page, found from this file.
    private static func page(_ name: String = "providers.md") throws -> String {
        var folder = URL(filePath: #filePath).deletingLastPathComponent()
        for _ in 0..<4 {
            folder = folder.deletingLastPathComponent()
            let page = folder.appending(path: "docs/\(name)")
            if FileManager.default.fileExists(atPath: page.path) {
                return try String(contentsOf: page, encoding: .utf8)
            }
        }
        throw CocoaError(.fileNoSuchFile)
    }

    /// The table row whose first cell is `name` in backquotes.
    private static func row(of name: String) throws -> String? {
        try page().split(separator: "\n").first { $0.hasPrefix("| `\(name)` |") }.map(String.init)
    }

    @Test("Every kind of provider has a row, and says so where it is not built", arguments: Registry.kinds.map(\.name))
    func kinds(name: String) throws {
        let row = try #require(try Self.row(of: name), "docs/providers.md has no row for the kind \(name)")
        let kind = try #require(Registry.kind(name))
        #expect(row.contains("not built yet") == !kind.isBuilt)
        if !kind.isBuilt {
            for option in kind.options { #expect(row.contains("`\(option)`"), "\(name) has a setting \(option)") }
        }
    }

    @Test("Every vendor's row has its address, its variables and its quirks", arguments: Catalogue.vendors.map(\.id))
    func vendors(id: String) throws {
        let vendor = try #require(Catalogue.vendor(id))
        let row = try #require(try Self.row(of: id), "docs/providers.md has no row for \(id)")
        #expect(row.contains(vendor.baseURL))
        for variable in vendor.variables + vendor.placeVariables.values + [vendor.consentVariable].compactMap(\.self) {
            #expect(row.contains(variable), "\(id) reads \(variable)")
        }
        let usual = Mirror(reflecting: Quirks()).children.map { String(describing: $0.value) }
        for (quirk, usual) in zip(Mirror(reflecting: vendor.quirks).children, usual) {
            let differs = String(describing: quirk.value) != usual
            let name = Self.snakeCase(quirk.label ?? "")
            #expect(row.contains("`\(name)") == differs, "\(id): \(name)")
        }
    }

    @Test("The page on what is passed on says which vendor has what")
    func passed() throws {
        let page = try Self.page("passing.md")
        for (kind, passed) in Catalogue.passed {
            #expect(Registry.kind(kind)?.isBuilt == true)
            let row = PassedRequest.Kind.allCases.map { passed[$0] != nil ? " yes |" : " |" }.joined()
            #expect(page.contains("| `\(kind)` |\(row)\n"), "\(kind)")
        }
    }

    @Test("Every quirk that a configuration can name is explained")
    func quirks() throws {
        for child in Mirror(reflecting: Quirks()).children {
            let name = Self.snakeCase(child.label ?? "")
            #expect(try Self.row(of: name) != nil, "docs/providers.md does not explain the quirk \(name)")
        }
    }

    @Test("The page names no vendor that is not there")
    func strangers() throws {
        let page = try Self.page()
        let quirks = Mirror(reflecting: Quirks()).children.map { Self.snakeCase($0.label ?? "") }
        let known = Set(Registry.kinds.map(\.name) + quirks)
        for line in page.split(separator: "\n") where line.hasPrefix("| `") {
            let name = line.dropFirst(3).prefix { $0 != "`" }
            #expect(known.contains(String(name)), "\(name) is neither a kind nor a quirk")
        }
    }

    /// `shortToolIDs` as `short_tool_ids`.
    private static func snakeCase(_ name: String) -> String {
        var out = ""
        var wasUpper = true
        for character in name {
            if character.isUppercase, !wasUpper { out += "_" }
            wasUpper = character.isUppercase
            out += character.lowercased()
        }
        return out
    }
}
