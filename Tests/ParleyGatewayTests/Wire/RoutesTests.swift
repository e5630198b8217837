// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOHTTP1
import Testing

@testable import ParleyGateway

@Suite("Paths")
struct RoutesTests {
    @Test(
        "Every path works with and without /v1, with a query, and with slashes at its end",
        arguments: [
            ("/v1/chat/completions", Route.chatCompletions), ("/chat/completions", .chatCompletions),
            ("/v1/chat/completions?x=1", .chatCompletions), ("/v1/chat/completions/", .chatCompletions),
            ("http://host:1/v1/models", .models), ("/models", .models), ("/v1/models/gpt-4o", .model("gpt-4o")),
            ("/v1/models/openai/gpt-4o", .model("openai/gpt-4o")),
            ("/v1/models/openai%2Fgpt-4o", .model("openai/gpt-4o")), ("/health", .health),
            ("/health/live", .healthLive), ("/v1/health/ready", .healthReady),
            ("/v1/dashboard/billing/usage?start_date=2026-01-01", .billingUsage),
            ("/v1/responses", .planned("/v1/responses")),
        ])
    func finds(target: String, route: Route) {
        #expect(Route.find(target, billing: true) == route)
    }

    @Test(
        "Other paths are unknown",
        arguments: ["/", "", "*", "/v1", "/v1/", "/v2/models", "/v1/chat", "/v1/chat/completions/x", "/responses"])
    func unknown(target: String) {
        #expect(Route.find(target, billing: true) == nil)
    }

    @Test("The billing paths exist only where they are wanted")
    func billing() {
        #expect(Route.find("/dashboard/billing/subscription", billing: false) == nil)
    }

    @Test("Query parameters are decoded")
    func query() {
        #expect(Route.query("key", of: "/v1/models?a=1&key=a%2Bb&c") == "a+b")
        #expect(Route.query("c", of: "/v1/models?a=1&key=a%2Bb&c") == "")
        #expect(Route.query("d", of: "/v1/models?a=1") == nil)
    }
}
