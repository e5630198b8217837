// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyWire

/// OpenAI's `input`: a text, texts, tokens, or lists of tokens. Read by position, since token lists are long.
enum EmbeddingInput {
    static func read(_ member: JSONMember, in scan: JSONScan) throws(ParleyError) -> EmbeddingRequest {
        try scan.bytes.withUnsafeReadableBytes { raw throws(ParleyError) in
            try read(member.value, JSONText(raw))
        }
    }

    private static func read(_ value: Range<Int>, _ text: JSONText) throws(ParleyError) -> EmbeddingRequest {
        if let single = text.string(value) {
            var request = EmbeddingRequest([.text(try checked(single, "input"))])
            request.isSingle = true
            return request
        }
        guard let elements = elements(value, text) else {
            throw RequestFault.type("input", expected: "one of a string or an array", got: kind(value, text))
        }
        guard let first = elements.first else { throw RequestFault.empty("input") }
        switch text.first(first) {
        case UInt8(ascii: "\""):
            var inputs: [EmbeddingRequest.Input] = []
            inputs.reserveCapacity(elements.count)
            for (index, element) in elements.enumerated() {
                guard let string = text.string(element) else {
                    throw RequestFault.type("input[\(index)]", expected: "a string", got: kind(element, text))
                }
                inputs.append(.text(try checked(string, "input[\(index)]")))
            }
            return EmbeddingRequest(inputs)
        case UInt8(ascii: "["):
            var inputs: [EmbeddingRequest.Input] = []
            for (index, element) in elements.enumerated() {
                guard let numbers = self.elements(element, text) else {
                    throw RequestFault.type(
                        "input[\(index)]", expected: "an array of integers", got: kind(element, text))
                }
                guard !numbers.isEmpty else { throw RequestFault.empty("input[\(index)]") }
                inputs.append(.tokens(try tokens(numbers, text, "input[\(index)]")))
            }
            return EmbeddingRequest(inputs)
        default:
            var request = EmbeddingRequest([.tokens(try tokens(elements, text, "input"))])
            request.isSingle = true
            return request
        }
    }

    private static func checked(_ string: String, _ path: String) throws(ParleyError) -> String {
        guard !string.isEmpty else {
            throw ParleyError(
                .invalid, "Invalid '\(path)': it cannot be an empty string.", code: "invalid_value", parameter: path)
        }
        return string
    }

    private static func tokens(
        _ elements: [Range<Int>], _ text: JSONText, _ path: String
    ) throws(ParleyError) -> [Int] {
        var tokens: [Int] = []
        tokens.reserveCapacity(elements.count)
        for (index, element) in elements.enumerated() {
            guard let token = text.int(element) else {
                throw RequestFault.type("\(path)[\(index)]", expected: "an integer", got: kind(element, text))
            }
            tokens.append(token)
        }
        return tokens
    }

    private static func elements(_ value: Range<Int>, _ text: JSONText) -> [Range<Int>]? {
        guard var walk = text.elements(at: value.lowerBound) else { return nil }
        var elements: [Range<Int>] = []
        while let element = try? walk.next() { elements.append(element) }
        return elements
    }

    private static func kind(_ value: Range<Int>, _ text: JSONText) -> String {
        switch text.first(value) {
        case UInt8(ascii: "\""): "a string"
        case UInt8(ascii: "["): "an array"
        case UInt8(ascii: "{"): "an object"
        case UInt8(ascii: "t"), UInt8(ascii: "f"): "a boolean"
        case UInt8(ascii: "n"): "null"
        default: text.int(value) == nil ? "a decimal" : "an integer"
        }
    }

    /// Writes the inputs: one alone where the client sent one alone.
    static func write(_ request: EmbeddingRequest, into out: inout ByteBuffer) {
        if request.isSingle, request.inputs.count == 1, let only = request.inputs.first {
            return write(only, into: &out)
        }
        out.writeStaticString("[")
        for (index, input) in request.inputs.enumerated() {
            if index > 0 { out.writeStaticString(",") }
            write(input, into: &out)
        }
        out.writeStaticString("]")
    }

    private static func write(_ input: EmbeddingRequest.Input, into out: inout ByteBuffer) {
        switch input {
        case .text(let text): out.writeJSONString(text)
        case .tokens(let tokens):
            out.writeStaticString("[")
            for (index, token) in tokens.enumerated() {
                if index > 0 { out.writeStaticString(",") }
                out.writeString(String(token))
            }
            out.writeStaticString("]")
        }
    }
}
