// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOHTTP1
import ParleyCore
import Testing

@testable import ParleyGateway

@Suite("Paths")
struct RoutesTests {
    @Test(
        "Every path works with and without /v1, with a query, and with slashes at its end",
        arguments: [
            ("/v1/chat/completions", Self.chat), ("/chat/completions", chat), ("/v1/chat/completions?x=1", chat),
            ("/v1/chat/completions/", chat), ("http://host:1/v1/models", .models(.openAIChat)),
            ("/models", .models(.openAIChat)), ("/v1/models/gpt-4o", .model("gpt-4o", .openAIChat)),
            ("/v1/models/openai/gpt-4o", .model("openai/gpt-4o", .openAIChat)),
            ("/v1/models/openai%2Fgpt-4o", .model("openai/gpt-4o", .openAIChat)), ("/health", .health),
            ("/health/live", .healthLive), ("/v1/health/ready", .healthReady),
            ("/v1/dashboard/billing/usage?start_date=2026-01-01", .billingUsage),
            ("/v1/responses", .generate(.init(dialect: .openAIResponses))),
            ("/v1/responses/input_tokens", .countTokens(.init(dialect: .openAIResponses))),
            ("/v1/responses/resp_1?include=x", .stored(.init(id: "resp_1"))),
            ("/responses/a%2Fb/cancel", .stored(.init(id: "a/b", part: .cancel))),
            ("/v1/responses/resp_1/input_items", .stored(.init(id: "resp_1", part: .inputItems))),
            ("/v1/responses/compact", .planned("/v1/responses/compact")),
            ("/v1/responses/a/b", .planned("/v1/responses/a/b")),
            ("/v1/responses/a/cancel/b", .planned("/v1/responses/a/cancel/b")),
            ("/v1/completions", .generate(.init(dialect: .openAICompletions))),
            ("/v1/messages?beta=true", .generate(.init(dialect: .anthropic))),
            ("/v1/messages/count_tokens", .countTokens(.init(dialect: .anthropic))),
            ("/v1/embeddings", .embed(.init(dialect: .openAIChat))),
            ("/v1/models/refresh", .refreshModels(.openAIChat)), ("/models/refresh", .refreshModels(.openAIChat)),
            ("/oauth", .console), ("/oauth/?x=1", .console), ("/oauth/a/callback?code=1", .console),
            ("http://host:1/oauth/login", .console),
        ])
    func finds(target: String, route: Route) {
        #expect(Route.find(target, billing: true) == route)
    }

    @Test(
        "Other paths are unknown",
        arguments: [
            "/", "", "*", "/v1", "/v1/", "/v2/models", "/v1/chat", "/v1/chat/completions/x", "/images", "/oauthx",
            "/v1/oauth",
        ])
    func unknown(target: String) {
        #expect(Route.find(target, billing: true) == nil)
    }

    @Test("The billing paths exist only where they are wanted")
    func billing() {
        #expect(Route.find("/dashboard/billing/subscription", billing: false) == nil)
    }

    private static let chat = Route.generate(.init(dialect: .openAIChat))

    @Test(
        "Gemini's paths name the model and what to do with it",
        arguments: [
            ("/v1beta/models", Route.models(.gemini)), ("/v1beta/models/m", .model("m", .gemini)),
            ("/v1beta/models/m:generateContent", gemini("m", stream: false)),
            ("/v1beta/models/m%3AgenerateContent", gemini("m", stream: false)),
            ("/v1/models/m:generateContent", gemini("m", stream: false)),
            ("/v1beta/models/a/b:free:streamGenerateContent?alt=sse", gemini("a/b:free", stream: true)),
            ("/v1beta/models/m:streamGenerateContent", gemini("m", stream: true, asArray: true)),
            ("/v1beta/models/m:streamGenerateContent?key=k&alt=sse", gemini("m", stream: true)),
            ("/v1beta/tunedModels/t:generateContent", gemini("tunedModels/t", stream: false)),
            ("/v1beta/models/m:countTokens", .countTokens(.init(dialect: .gemini, model: "m"))),
            ("/v1beta/models/m:embedContent", .embed(.init(dialect: .gemini, model: "m"))),
            ("/v1beta/models/m:batchEmbedContents", .embed(.init(dialect: .gemini, model: "m"))),
            ("/v1/models/openrouter/x:free", .model("openrouter/x:free", .openAIChat)),
        ])
    func findsGemini(target: String, route: Route) {
        #expect(Route.find(target, billing: true) == route)
    }

    private static func gemini(_ model: String, stream: Bool, asArray: Bool = false) -> Route {
        .generate(.init(dialect: .gemini, model: model, stream: stream, asArray: asArray))
    }

    @Test("An unknown path is refused in the dialect that its client speaks")
    func unknownDialect() {
        #expect(Route.dialect(ofUnknown: "/v1beta/x") == .gemini)
        #expect(Route.dialect(ofUnknown: "/v1/messages/x") == .anthropic)
        #expect(Route.dialect(ofUnknown: "/v1/x") == .openAIChat)
    }

    @Test("Query parameters are decoded")
    func query() {
        #expect(Route.query("key", of: "/v1/models?a=1&key=a%2Bb&c") == "a+b")
        #expect(Route.query("c", of: "/v1/models?a=1&key=a%2Bb&c") == "")
        #expect(Route.query("d", of: "/v1/models?a=1") == nil)
    }
}
