// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import Foundation
import ParleyTestKit
import Testing

@testable import ParleyGateway

@Suite("Model lists in the client's shape")
struct ModelListTests {
    private static let anthropic = ["anthropic-version: 2023-06-01"]

    private static var setup: GatewayUnderTest.Setup {
        var setup = GatewayUnderTest.Setup()
        setup.models = ["a: up/a", "b: up/b", "c: up/c"]
        return setup
    }

    private static func ids(_ answer: ClientAnswer, _ list: String = "data", _ name: String = "id") -> [String] {
        (answer.json[list] as? [[String: Any]] ?? []).compactMap { $0[name] as? String }
    }

    @Test("Anthropic's clients get Anthropic's list, in pages where they ask for them")
    func anthropicList() async throws {
        try await GatewayUnderTest.run(Self.setup) { gateway, _ async throws in
            func page(_ query: String) async throws -> ClientAnswer {
                try await gateway.get("/v1/models\(query)", headers: Self.anthropic)
            }
            let whole = try await page("")
            #expect(Self.ids(whole) == ["a", "b", "c"])
            #expect(whole.json["first_id"] as? String == "a" && whole.json["last_id"] as? String == "c")
            #expect(whole.json["has_more"] as? Bool == false)
            let model = try #require((whole.json["data"] as? [[String: Any]])?.first)
            #expect(model["type"] as? String == "model" && model["display_name"] as? String == "a")
            #expect(model["created_at"] as? String == "2023-11-14T22:13:20Z")
            for (query, expected, hasMore) in [
                ("?limit=2", ["a", "b"], true), ("?limit=2&after_id=b", ["c"], false),
                ("?limit=1&before_id=c", ["b"], true), ("?before_id=c", ["a", "b"], false),
                ("?limit=1000&after_id=c", [], false),
            ] as [(String, [String], Bool)] {
                let answer = try await page(query)
                #expect(Self.ids(answer) == expected && answer.json["has_more"] as? Bool == hasMore, "\(query)")
            }
            for query in ["?limit=0", "?limit=x", "?limit=1001", "?after_id=z", "?before_id="] {
                let answer = try await page(query)
                #expect(answer.status == 400 && answer.json["type"] as? String == "error", "\(query)")
            }
        }
    }

    @Test("Gemini's clients get Gemini's list")
    func geminiList() async throws {
        try await GatewayUnderTest.run(Self.setup) { gateway, _ async throws in
            let answer = try await gateway.get("/v1beta/models?pageSize=1")
            #expect(Self.ids(answer, "models", "name") == ["models/a", "models/b", "models/c"])
            #expect(answer.json["nextPageToken"] == nil)
        }
    }

    @Test("One model is described as its client's vendor does, and a missing one is refused so")
    func one() async throws {
        try await GatewayUnderTest.run(Self.setup) { gateway, _ async throws in
            let anthropic = try await gateway.get("/v1/models/b", headers: Self.anthropic)
            #expect(anthropic.json["id"] as? String == "b" && anthropic.json["type"] as? String == "model")
            let gemini = try await gateway.get("/v1beta/models/b")
            #expect(gemini.json["name"] as? String == "models/b")
            let openAI = try await gateway.get("/v1/models/b")
            #expect(openAI.json["object"] as? String == "model")
            let none = try await gateway.get("/v1/models/z", headers: Self.anthropic)
            #expect(none.status == 404 && none.error["type"] as? String == "not_found_error")
            let gone = try await gateway.get("/v1beta/models/z")
            #expect(gone.status == 404 && gone.error["status"] as? String == "NOT_FOUND")
        }
    }

    @Test("A Gemini client that wants a stream as an array gets an error as its only element")
    func arrayError() async throws {
        try await GatewayUnderTest.run(Self.setup) { gateway, _ async throws in
            let body = #"{"contents":[{"parts":[{"text":"Hi"}]}]}"#
            let array = try await gateway.post(body, path: "/v1beta/models/z:streamGenerateContent")
            #expect(array.status == 404 && array.text.hasPrefix("[{") && array.text.hasSuffix("}]"))
            let events = try await gateway.post(body, path: "/v1beta/models/z:streamGenerateContent?alt=sse")
            #expect(events.status == 404 && events.error["status"] as? String == "NOT_FOUND")
        }
    }
}
