// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import ParleyCore
import ParleyWire

/// The ways a request can be wrong, in OpenAI's wording, so that clients that match on messages keep working.
enum RequestFault {
    static func missing(_ path: String) -> ParleyError {
        ParleyError(
            .invalid, "Missing required parameter: '\(path)'.", code: "missing_required_parameter", parameter: path)
    }

    static func type(_ path: String, expected: String, got value: JSONValue) -> ParleyError {
        type(path, expected: expected, got: name(of: value))
    }

    static func type(_ path: String, expected: String, got: String) -> ParleyError {
        ParleyError(
            .invalid, "Invalid type for '\(path)': expected \(expected), but got \(got) instead.",
            code: "invalid_type", parameter: path)
    }

    /// A word that is none of the supported ones; long words are not repeated, since they may be prompt text.
    static func value(_ path: String, _ word: String, supported: [String]) -> ParleyError {
        let quoted = supported.map { "'\($0)'" }
        let list =
            quoted.count < 2
            ? quoted.joined()
            : quoted.dropLast().joined(separator: ", ") + (quoted.count > 2 ? ", and " : " and ") + (quoted.last ?? "")
        let isPrintable = word.utf8.count <= 40 && word.utf8.allSatisfy { $0 >= 0x20 && $0 < 0x7F }
        let what = isPrintable ? "Invalid value: '\(word)'." : "Invalid value for '\(path)'."
        return ParleyError(
            .invalid, "\(what) Supported values are: \(list).", code: "invalid_value", parameter: path)
    }

    static func empty(_ path: String) -> ParleyError {
        ParleyError(
            .invalid,
            "Invalid '\(path)': empty array. Expected an array with minimum length 1, but got an empty array instead.",
            code: "empty_array", parameter: path)
    }

    static func below(_ path: String, minimum: Int, got value: Int) -> ParleyError {
        ParleyError(
            .invalid,
            "Invalid '\(path)': integer below minimum value. Expected a value >= \(minimum), but got \(value) instead.",
            code: "integer_below_min_value", parameter: path)
    }

    /// How OpenAI's messages call a value's type.
    static func name(of value: JSONValue) -> String {
        switch value {
        case .null: "null"
        case .bool: "a boolean"
        case .number(let text):
            text.utf8.contains { $0 == 0x2E || $0 | 0x20 == 0x65 } ? "a decimal" : "an integer"
        case .string: "a string"
        case .array: "an array"
        case .object: "an object"
        }
    }
}

/// The top-level fields OpenAI documents for a chat request.
enum ChatField {
    static let documented: Set<String> = [
        "model", "messages", "audio", "frequency_penalty", "function_call", "functions", "logit_bias", "logprobs",
        "top_logprobs", "max_completion_tokens", "max_tokens", "metadata", "modalities", "n", "parallel_tool_calls",
        "prediction", "presence_penalty", "prompt_cache_key", "prompt_cache_retention", "prompt_cache_options",
        "reasoning_effort", "response_format", "safety_identifier", "seed", "service_tier", "stop", "store", "stream",
        "stream_options", "temperature", "tool_choice", "tools", "top_p", "user", "verbosity", "web_search_options",
        "moderation",
    ]

    /// JSON types a field can have, as far as they are checked before anything is sent.
    enum Shape {
        case string, bool, integer, decimal, array, object, textOrArray, textOrObject

        var expected: String {
            switch self {
            case .string: "a string"
            case .bool: "a boolean"
            case .integer: "an integer"
            case .decimal: "a decimal"
            case .array: "an array"
            case .object: "an object"
            case .textOrArray: "one of a string or an array of strings"
            case .textOrObject: "one of a string or an object"
            }
        }
    }

    /// The shape of each checked field; null is taken as not said everywhere.
    private static let shapes: [(name: StaticString, shape: Shape)] = [
        ("stream", .bool), ("temperature", .decimal), ("max_tokens", .integer), ("max_completion_tokens", .integer),
        ("tools", .array), ("tool_choice", .textOrObject), ("stop", .textOrArray), ("n", .integer),
        ("top_p", .decimal), ("stream_options", .object), ("response_format", .object), ("seed", .integer),
        ("frequency_penalty", .decimal), ("presence_penalty", .decimal), ("logprobs", .bool),
        ("top_logprobs", .integer), ("parallel_tool_calls", .bool), ("logit_bias", .object), ("metadata", .object),
        ("modalities", .array), ("audio", .object), ("prediction", .object), ("user", .string),
        ("reasoning_effort", .string), ("service_tier", .string), ("store", .bool), ("verbosity", .string),
        ("web_search_options", .object), ("prompt_cache_key", .string), ("safety_identifier", .string),
        ("functions", .array), ("function_call", .textOrObject),
    ]

    /// The shape of the field called `name`; nil for one that is not checked.
    static func shape(named name: String) -> Shape? {
        shapes.first { $0.name.utf8CodeUnitCount == name.utf8.count && $0.name.description == name }?.shape
    }

    /// The shape of a member of a request; nil for one that is not checked, or that is written with escapes.
    static func shape(of member: JSONMember, in text: JSONText) -> (name: StaticString, shape: Shape)? {
        // Nearly every request has these two, and neither is in the table.
        if member.isNamed("messages", in: text) || member.isNamed("model", in: text) { return nil }
        for entry in shapes where member.key.count == entry.name.utf8CodeUnitCount {
            if member.isNamed(entry.name, in: text) { return entry }
        }
        return nil
    }
}
