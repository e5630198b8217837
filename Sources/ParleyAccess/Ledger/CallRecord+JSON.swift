// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

public import ParleyCore

extension CallRecord {
    /// The record as the control plane shows it: times in milliseconds, money in US dollars; what is not known is left out.
    public var json: JSONObject {
        var object: JSONObject = ["id": .string(id), "time": .number(String(time))]
        object.set("key", key)
        object.set("model", model)
        object["operation"] = .string(operation)
        object["dialect"] = .string(dialect)
        object["stream"] = .bool(stream)
        object["status"] = .int(status)
        object["outcome"] = .string(outcome)
        object.set("error", error)
        object.set("finish", finish)
        object.set("upstream", upstream)
        if !usage.isEmpty { object["usage"] = .object(usage.json) }
        object.set(cost: cost)
        if !degraded.isEmpty { object["degraded"] = .array(degraded.map { .string($0) }) }
        if !dropped.isEmpty { object["dropped"] = .array(dropped.map { .string($0) }) }
        object["attempts"] = .array(attempts.map { .object($0.json) })
        if !innerCalls.isEmpty { object["inner_calls"] = .array(innerCalls.map { .object($0.json) }) }
        object.set("first_ms", microseconds: firstEvent)
        object.set("total_ms", microseconds: total)
        return object
    }
}

extension AttemptRecord {
    /// The attempt as the control plane shows it.
    public var json: JSONObject {
        var object: JSONObject = ["upstream": .string(upstream)]
        object.set("why", why)
        object.set("route", route)
        object.set("failure", failure)
        object.set("began_ms", microseconds: began)
        object.set("ms", microseconds: elapsed)
        if !usage.isEmpty { object["usage"] = .object(usage.json) }
        object.set(cost: cost)
        return object
    }
}

extension InnerCallRecord {
    /// The inner call as the control plane shows it.
    public var json: JSONObject {
        var object: JSONObject = ["purpose": .string(purpose), "model": .string(model)]
        object.set("failure", failure)
        object.set("began_ms", microseconds: began)
        object.set("ms", microseconds: elapsed)
        if !usage.isEmpty { object["usage"] = .object(usage.json) }
        object.set(cost: cost)
        object["attempts"] = .array(attempts.map { .object($0.json) })
        if !innerCalls.isEmpty { object["inner_calls"] = .array(innerCalls.map { .object($0.json) }) }
        return object
    }
}

extension Usage {
    /// The names of the classes, in the order of `classes`.
    public static let classNames = [
        "input", "cache_read", "cache_write", "cache_write_1h", "input_audio", "output", "reasoning", "output_audio",
        "accepted_prediction", "rejected_prediction", "stated_total",
    ]

    /// The numbers of the classes, in the order of `classNames`.
    public var classes: [Int?] {
        [
            input, cacheRead, cacheWrite, cacheWriteHour, inputAudio, output, reasoning, outputAudio,
            acceptedPrediction, rejectedPrediction, statedTotal,
        ]
    }

    /// Tokens of the classes in the order of `classNames`; what is missing at the end is nil.
    public init(classes: [Int?], estimated: Bool) {
        func number(_ index: Int) -> Int? { index < classes.count ? classes[index] : nil }
        self.init(input: number(0), output: number(5))
        (cacheRead, cacheWrite, cacheWriteHour, inputAudio) = (number(1), number(2), number(3), number(4))
        (reasoning, outputAudio, acceptedPrediction) = (number(6), number(7), number(8))
        (rejectedPrediction, statedTotal) = (number(9), number(10))
        self.estimated = estimated
    }

    /// The classes that were reported.
    public var json: JSONObject {
        var object = JSONObject()
        for (name, value) in zip(Self.classNames, classes) { if let value { object[name] = .int(value) } }
        if estimated { object["estimated"] = .bool(true) }
        return object
    }
}

/// Amounts of money.
public enum Money {
    /// Nanodollars as decimal text of US dollars, all nine places: a JSON number.
    public static func dollars(nano: Int) -> String {
        let amount = max(0, nano)
        let rest = String(amount % 1_000_000_000)
        return "\(amount / 1_000_000_000)." + String(repeating: "0", count: 9 - rest.count) + rest
    }
}

extension JSONObject {
    fileprivate mutating func set(_ name: String, _ text: String?) {
        if let text { self[name] = .string(text) }
    }

    fileprivate mutating func set(_ name: String, microseconds: Int64?) {
        guard let microseconds else { return }
        let (whole, rest) = max(0, microseconds).quotientAndRemainder(dividingBy: 1000)
        let places = String(rest)
        self[name] = .number("\(whole)." + String(repeating: "0", count: 3 - places.count) + places)
    }

    fileprivate mutating func set(cost: Int?) {
        if let cost { self["cost_usd"] = .number(Money.dollars(nano: cost)) }
    }
}
