// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import Foundation
import NIOCore
import Testing

@testable import ParleyGateway

/// A folder that goes away with the test.
final class TemporaryFolder {
    let url: URL

    init() throws {
        url = FileManager.default.temporaryDirectory.appendingPathComponent("parley-logs-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(at: url) }

    func path(_ name: String) -> String { url.appendingPathComponent(name).path }

    func text(_ name: String) throws -> String { try String(contentsOfFile: path(name), encoding: .utf8) }

    func names() throws -> [String] { try FileManager.default.contentsOfDirectory(atPath: url.path).sorted() }
}

/// What `body` makes a sink write, line by line.
func lines(_ format: LogFormat, _ body: (LogSink) throws -> Void) throws -> [String] {
    let folder = try TemporaryFolder()
    let sink = try LogSink(.file(path: folder.path("log"), rotate: 0, keep: 0), format: format)
    try body(sink)
    #expect(sink.flush(within: .seconds(30)))
    let text = try folder.text("log")
    #expect(text.isEmpty || text.hasSuffix("\n"))
    return text.split(separator: "\n", omittingEmptySubsequences: false).dropLast().map(String.init)
}

/// A line without its timestamp, which must be there.
func withoutTime(_ line: String) throws -> String {
    let parts = line.split(separator: " ", maxSplits: 1)
    let time = try #require(parts.first)
    #expect(time.count == 24 && time.hasSuffix("Z"))
    return try String(#require(parts.last))
}

/// A line as JSON.
func object(_ line: String) throws -> [String: Any] {
    try #require(try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any])
}
