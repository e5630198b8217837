// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import Foundation
import NIOCore
import ParleyAccess
import ParleyCore
import ParleyWire
import Testing

@Suite struct PriceTests {
    private static func book(_ kind: String, renames: [String: String] = [:], overrides: [String: Price] = [:])
        -> PriceBook
    {
        PriceBook(providers: ["p": .init(kind: kind, renames: renames)], overrides: overrides)
    }

    private static func price(_ kind: String, _ model: String) -> Price? { book(kind).facts(of: "p/\(model)").price }

    @Test func `models of the table have the prices of the source`() throws {
        let gpt = PriceTable.facts(vendor: "openai", model: "gpt-4o")
        #expect(gpt?.price?.input == 2_500_000)
        #expect(gpt?.price?.output == 10_000_000)
        #expect(gpt?.price?.cacheRead == 1_250_000)
        #expect(gpt?.price?.cacheWrite == nil)
        #expect(gpt?.contextLength == 128_000)
        #expect(gpt?.maxOutput == 16_384)
        let sonnet = PriceTable.facts(vendor: "anthropic", model: "claude-sonnet-4-5")?.price
        #expect(sonnet?.cacheRead == 300_000)
        #expect(sonnet?.cacheWrite == 3_750_000)
        #expect(sonnet?.cacheWriteHour == 6_000_000)
        let flash = PriceTable.facts(vendor: "gemini", model: "gemini-2.5-flash")
        #expect(flash?.price?.inputAudio == 1_000_000)
        #expect(flash?.contextLength == 1_048_576)
        #expect(PriceTable.facts(vendor: "dashscope", model: "qwen-plus-2025-04-28")?.price?.reasoning == 4_000_000)
    }

    @Test func `every name of the table is found, and nothing beside them`() {
        let names = PriceTable.names
        #expect(names.count > 1000)
        for (before, name) in zip(names, names.dropFirst()) {
            #expect(before.utf8.lexicographicallyPrecedes(name.utf8))
        }
        for name in names {
            let parts = name.split(separator: "/", maxSplits: 1).map(String.init)
            #expect(PriceTable.facts(vendor: parts[0], model: parts[1]) != nil, "\(name)")
        }
        for (vendor, model) in [("", ""), ("a", "a"), ("zzz", "z"), ("openai", "gpt-4"), ("openai", "")] {
            let isThere = names.contains("\(vendor)/\(model)")
            #expect((PriceTable.facts(vendor: vendor, model: model) != nil) == isThere)
        }
    }

    @Test func `the table says what its source says`() throws {
        guard let recordings = ProcessInfo.processInfo.environment["PARLEY_RECORDINGS"],
            let data = FileManager.default.contents(atPath: recordings + "/../prices/prices.json")
        else { return }
        let root = try JSON.parse(ByteBuffer(bytes: data))
        let providers = try #require(root["providers"]?.object)
        var count = 0
        for vendor in providers.members {
            for model in try #require(vendor.value.object).members {
                count += 1
                let facts = try #require(
                    PriceTable.facts(vendor: vendor.key, model: model.key), "\(vendor.key)/\(model.key)")
                func money(_ name: String) -> Int? { model.value[name]?.double.flatMap { Price.picodollars($0) } }
                #expect(facts.contextLength == model.value["context"]?.int)
                #expect(facts.maxOutput == model.value["max_output"]?.int)
                guard (money("input") ?? 0) + (money("output") ?? 0) > 0 else {
                    #expect(facts.price == nil)
                    continue
                }
                var price = Price(input: money("input") ?? 0, output: money("output") ?? 0)
                price.cacheRead = money("cache_read")
                price.cacheWrite = money("cache_write")
                price.cacheWriteHour = money("cache_write_1h")
                price.inputAudio = money("input_audio")
                price.outputAudio = money("output_audio")
                price.reasoning = money("reasoning")
                price.inputAbove200K = money("input_above_200k")
                price.outputAbove200K = money("output_above_200k")
                #expect(facts.price == price, "\(vendor.key)/\(model.key)")
            }
        }
        #expect(count == PriceTable.names.count)
    }

    @Test func `a model is found under the names that providers give it`() {
        let gpt = PriceTable.facts(vendor: "openai", model: "gpt-4o")?.price
        #expect(gpt != nil)
        #expect(Self.price("openai", "gpt-4o-2024-08-06") == gpt)
        #expect(Self.price("openai", "gpt-4o-2031-01-01") == gpt)
        #expect(Self.price("openai", "ft:gpt-4o-2024-08-06:acme::abc")?.input == 3_750_000)
        #expect(Self.price("gemini", "models/gemini-2.5-pro") != nil)
        #expect(Self.price("vertex", "publishers/google/models/gemini-2.5-pro") != nil)
        #expect(Self.price("vertex", "claude-opus-4-5@20991231") != nil)
        #expect(Self.price("bedrock", "eu.anthropic.claude-3-opus-20240229-v1:0") != nil)
        #expect(
            Self.price("bedrock", "arn:aws:bedrock:us-east-1:1:inference-profile/us.amazon.nova-pro-v1:0") != nil)
        #expect(Self.price("anthropic", "claude-opus-4-5-20991231") != nil)
        #expect(Self.price("zai", "glm-4-32b-0414-128k") != nil)
        #expect(Self.price("groq", "openai/gpt-oss-20b") != nil)
    }

    @Test func `what nobody knows has no price, and what is said to cost nothing neither`() {
        for (kind, model) in [
            ("openai", "gpt-unheard-of"), ("openai-compatible", "gpt-4o"), ("demo", "demo"), ("openai", ""),
            ("openai", "-2024-08-06"), ("openai", "@"), ("bedrock", "us."), ("gemini", "gemma-3-27b-it"),
        ] {
            #expect(Self.price(kind, model) == nil, "\(kind) \(model)")
        }
        #expect(PriceBook().cost(of: Usage(input: 1, output: 1), at: "nobody/gpt-4o") == nil)
        #expect(PriceBook().cost(of: Usage(input: 1, output: 1), at: "") == nil)
    }

    @Test func `a configuration's price wins, and a renamed model keeps its own name's`() {
        let own = Price(input: 1, output: 2)
        #expect(Self.book("openai", overrides: ["p/gpt-4o": own]).facts(of: "p/gpt-4o").price == own)
        #expect(Self.book("openai", overrides: ["p/gpt-4o": own]).facts(of: "p/gpt-4o").contextLength == 128_000)
        #expect(Self.book("openai-compatible", overrides: ["p/x": own]).facts(of: "p/x").price == own)
        let renamed = Self.book("azure", renames: ["gpt-4o": "our-deployment", "fast": "gpt-4o"])
        #expect(renamed.facts(of: "p/gpt-4o").price?.input == 2_500_000)
        #expect(renamed.facts(of: "p/fast").price?.input == 2_500_000)
    }

    @Test func `no token is paid twice, and none is forgotten`() {
        var price = Price(input: 1_000_000, output: 10_000_000)
        price.cacheRead = 100_000
        price.cacheWrite = 2_000_000
        price.cacheWriteHour = 4_000_000
        var usage = Usage(input: 1000, output: 10)
        #expect(price.cost(of: usage) == 1_100_000)
        usage.cacheRead = 400
        usage.cacheWrite = 300
        usage.cacheWriteHour = 100
        // 300 plain, 400 read, 200 written, 100 written for an hour, 10 out.
        #expect(price.cost(of: usage) == 300_000 + 40_000 + 400_000 + 400_000 + 100_000)
        usage.reasoning = 5
        #expect(price.cost(of: usage) == 1_240_000)
        price.reasoning = 20_000_000
        #expect(price.cost(of: usage) == 1_290_000)
    }

    @Test func `one token of the cheapest model costs what it costs, whatever is added up`() {
        let price = Price(input: 1, output: 388_126)
        #expect(price.cost(of: Usage(input: 0, output: 1)) == 388)
        #expect(price.cost(of: Usage(input: 0, output: 1_000_000)) == 388_126_000)
        #expect(price.cost(of: Usage(input: 499)) == 0)
        #expect(price.cost(of: Usage(input: 500)) == 1)
    }

    @Test func `a long prompt has the price of long prompts`() {
        var price = Price(input: 1_000_000, output: 2_000_000)
        price.inputAbove200K = 3_000_000
        price.outputAbove200K = 4_000_000
        #expect(price.cost(of: Usage(input: 200_000, output: 1)) == 200_002_000)
        #expect(price.cost(of: Usage(input: 200_001, output: 1)) == 600_007_000)
    }

    @Test func `numbers that cannot be are no reason to end the process or to pay anybody`() {
        let price = Price(input: 1_000_000, output: 1_000_000)
        var usage = Usage(input: .max, output: .max)
        #expect(price.cost(of: usage) == Int.max / 1000 + 1)
        usage.cacheRead = .max
        usage.cacheWrite = .max
        usage.inputAudio = .min
        #expect((price.cost(of: usage) ?? -1) >= 0)
        #expect(price.cost(of: Usage(input: -5, output: -5)) == 0)
        #expect(price.cost(of: Usage()) == nil)
        for number in [Double.nan, .infinity, -1, 1e300] { #expect(Price.picodollars(number) == nil) }
    }

    @Test func `sums of usage count every class, and estimates stay estimates`() {
        var sum = Usage(input: 3)
        var other = Usage(input: 4, output: 5)
        other.cacheRead = 2
        other.estimated = true
        sum.add(other)
        #expect((sum.input, sum.output, sum.cacheRead) == (7, 5, 2))
        #expect(sum.cacheWrite == nil)
        #expect(sum.estimated)
        var stated = Usage(input: 1, output: 1)
        stated.statedTotal = 10
        sum.add(stated)
        #expect(sum.statedTotal == 22)
        sum.add(Usage(input: .max, output: .max))
        #expect(sum.input == .max)
    }
}
