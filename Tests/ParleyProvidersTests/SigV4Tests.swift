// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import Foundation
import NIOCore
import ParleyCore
import ParleyWire
import Testing

@testable import ParleyProviders

@Suite("AWS signatures")
struct SigV4Tests {
    /// Requests with the signatures that botocore gives them; `make_signatures.py` beside the table made it.
    private static func table() throws -> [JSONValue] {
        var folder = URL(filePath: #filePath).deletingLastPathComponent()
        for _ in 0..<4 {
            folder = folder.deletingLastPathComponent()
            let place = folder.appending(path: "Tests/vectors/signatures.json")
            if FileManager.default.fileExists(atPath: place.path) {
                return try #require(try JSON.parse(ByteBuffer(bytes: Data(contentsOf: place))).array)
            }
        }
        throw CocoaError(.fileNoSuchFile)
    }

    private struct Row {
        let signer: SigV4
        let request: SigV4.Request
        let time: Int

        init(_ row: JSONValue) {
            func text(_ name: String) -> String { row[name]?.string ?? "" }
            signer = SigV4(
                accessKey: text("access_key"), secretKey: text("secret_key"),
                sessionToken: row["session_token"]?.string, region: text("region"))
            var headers = [HeaderField("host", text("host"))]
            if let type = row["content_type"]?.string { headers.append(HeaderField("content-type", type)) }
            request = .init(
                method: text("method"), target: text("target"), headers: headers, body: ByteBuffer(string: text("body"))
            )
            time = row["time"]?.int ?? 0
        }
    }

    @Test("Every signature is the one that AWS's own library computes")
    func peer() throws {
        let table = try Self.table()
        #expect(table.count >= 12)
        for row in table {
            let label = Comment(rawValue: row["name"]?.string ?? "")
            let made = Row(row)
            let headers = made.signer.headers(for: made.request, at: made.time)
            #expect(headers.first == HeaderField("authorization", row["authorization"]?.string ?? ""), label)
            #expect(headers[1] == HeaderField("x-amz-date", row["stamp"]?.string ?? ""), label)
            #expect(headers.count == (row["session_token"]?.string == nil ? 2 : 3), label)
            let signed = (made.request.headers + headers.dropFirst()).sorted { $0.name < $1.name }
            let canonical = SigV4.canonical(made.request, signed, names: signed.map(\.name).joined(separator: ";"))
            #expect(canonical == row["canonical"]?.string, label)
        }
    }

    @Test("Anything that changes about a request changes its signature")
    func sensitive() throws {
        let row = Row(try #require(try Self.table().first))
        let plain = row.signer.headers(for: row.request, at: row.time)
        var other = row.request
        other.body.writeString(" ")
        #expect(row.signer.headers(for: other, at: row.time) != plain)
        other = row.request
        other.target += "x"
        #expect(row.signer.headers(for: other, at: row.time) != plain)
        #expect(row.signer.headers(for: row.request, at: row.time + 1) != plain)
        var signer = row.signer
        signer.secretKey += "x"
        #expect(signer.headers(for: row.request, at: row.time) != plain)
        #expect(row.signer.headers(for: row.request, at: row.time) == plain)
    }

    @Test(
        "Times are written as AWS wants them",
        arguments: [
            (0, "19700101T000000Z"), (951_782_400, "20000229T000000Z"), (1_735_787_045, "20250102T030405Z"),
            (1_709_251_199, "20240229T235959Z"), (4_102_444_800, "21000101T000000Z"),
            (4_107_542_400, "21000301T000000Z"),
            (-1, "19691231T235959Z"),
        ])
    func stamps(time: Int, text: String) {
        #expect(SigV4.stamp(time) == text)
    }

    @Test("A path is encoded once more, a query is sorted")
    func canonical() {
        #expect(SigV4.canonicalPath("/model/a%3A0/converse") == "/model/a%253A0/converse")
        #expect(SigV4.canonicalPath("") == "/")
        #expect(SigV4.canonicalQuery("b=2&a&b=1&a=%2F") == "a=&a=%2F&b=1&b=2")
        #expect(PercentEncoding.encode("a:b/c d~é") == "a%3Ab%2Fc%20d~%C3%A9")
    }
}
