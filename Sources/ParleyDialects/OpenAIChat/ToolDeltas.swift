// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import ParleyCore
import ParleyWire

/// Puts the tool calls of one choice together from deltas, as defective as vendors send them: without index, without
/// id, with the id on every delta, with an index that is always zero, with whole arguments as an object.
struct ToolDeltas {
    private struct Call {
        var id = ""
        var name = ""
        var wireIndex: Int?
        var isCustom = false
        var isLegacy = false
        var extras = JSONObject()
        var isStarted = false
        /// Arguments that came before the name.
        var waiting = ""
        var balance = ArgumentBalance()
    }

    private var calls: [Call] = []
    /// What the made-up ids start from.
    var seed = ""
    private let choice: Int

    init(choice: Int) {
        self.choice = choice
    }

    /// Whether there was any call.
    var isEmpty: Bool { calls.isEmpty }

    /// Whether the calls are of the deprecated kind; nil where there is none.
    var calledLegacy: Bool? { calls.first?.isLegacy }

    /// Reads a delta's `tool_calls`.
    mutating func push(_ value: JSONValue, into events: inout [Event]) {
        let list = value.array ?? (value.object == nil ? [] : [value])
        for (position, element) in list.enumerated() {
            guard let object = element.object else { continue }
            let piece = Piece(object)
            let index = slot(for: piece, position: position, of: list.count)
            add(piece, to: index, into: &events)
        }
    }

    /// Reads a delta's deprecated `function_call`: there is only ever one.
    mutating func pushLegacy(_ value: JSONValue, into events: inout [Event]) {
        guard let object = value.object else { return }
        let piece = Piece(["function": .object(object)])
        if calls.isEmpty {
            var call = Call()
            call.isLegacy = true
            calls.append(call)
        }
        add(piece, to: 0, into: &events)
    }

    /// Begins calls that never got a name, so that what came of them is not lost.
    mutating func finish(into events: inout [Event]) {
        for index in calls.indices where !calls[index].isStarted { start(index, into: &events) }
    }

    /// Which call a piece belongs to.
    private mutating func slot(for piece: Piece, position: Int, of count: Int) -> Int {
        if let wireIndex = piece.index {
            if let found = calls.lastIndex(where: { $0.wireIndex == wireIndex }) {
                let isOther = !piece.id.isEmpty && !calls[found].id.isEmpty && piece.id != calls[found].id
                if !isOther || piece.name.isEmpty { return found }
            }
        } else if !piece.id.isEmpty {
            if let found = calls.lastIndex(where: { $0.id == piece.id }) { return found }
        } else if piece.name.isEmpty {
            if count > 1, position < calls.count { return position }
            if !calls.isEmpty { return calls.count - 1 }
        } else if let last = calls.last, last.name == piece.name, last.balance.isOpen {
            return calls.count - 1
        }
        var call = Call()
        call.wireIndex = piece.index
        calls.append(call)
        return calls.count - 1
    }

    private mutating func add(_ piece: Piece, to index: Int, into events: inout [Event]) {
        if calls[index].id.isEmpty { calls[index].id = piece.id }
        if calls[index].name.isEmpty { calls[index].name = piece.name }
        if piece.isCustom { calls[index].isCustom = true }
        if !calls[index].isStarted {
            for member in piece.extras.members { calls[index].extras[member.key] = member.value }
            calls[index].waiting += piece.arguments
            calls[index].balance.add(piece.arguments)
            if !calls[index].name.isEmpty { start(index, into: &events) }
        } else if !piece.arguments.isEmpty {
            calls[index].balance.add(piece.arguments)
            events.append(.arguments(choice: choice, index: index, piece.arguments))
        }
    }

    private mutating func start(_ index: Int, into events: inout [Event]) {
        calls[index].isStarted = true
        if calls[index].id.isEmpty { calls[index].id = Self.madeUpID(seed, choice, index) }
        let state = calls[index]
        var call = ToolCall(id: state.id, name: state.name, arguments: "")
        call.isCustom = state.isCustom
        var extras = state.extras
        if state.isLegacy { extras[ToolDecoder.legacyMark] = true }
        call.take(extras: extras)
        events.append(.toolCall(choice: choice, index: index, call))
        if !state.waiting.isEmpty { events.append(.arguments(choice: choice, index: index, state.waiting)) }
        calls[index].waiting = ""
    }

    /// An id for a call that has none, the same whenever the same answer is read.
    static func madeUpID(_ seed: String, _ choice: Int, _ index: Int) -> String {
        var hash = StableHash()
        hash.combine(seed)
        hash.combine("\(choice).\(index)")
        return "call_" + hash.letters(11)
    }
}

/// One element of `tool_calls`.
private struct Piece {
    var index: Int?
    var id: String
    var name: String
    var arguments: String
    var isCustom: Bool
    var extras: JSONObject

    init(_ object: JSONObject) {
        index = object["index"]?.int
        id = object["id"]?.string ?? ""
        isCustom = object["type"]?.string == "custom" || object["custom"]?.object != nil
        let inner = object[isCustom ? "custom" : "function"]?.object ?? [:]
        name = inner["name"]?.string ?? ""
        switch inner[isCustom ? "input" : "arguments"] {
        case .string(let text)?: arguments = text
        case nil, .null?: arguments = ""
        case let value?: arguments = JSON.text(value)
        }
        extras = object
        for key in ["index", "id", "type", "function", "custom"] { extras[key] = nil }
    }

    /// A call of a whole answer.
    func call(seed: String, choice: Int, position: Int) -> ToolCall {
        let id = id.isEmpty ? ToolDeltas.madeUpID(seed, choice, position) : id
        var call = ToolCall(id: id, name: name, arguments: arguments)
        call.isCustom = isCustom
        call.take(extras: extras)
        return call
    }
}

extension ToolDeltas {
    /// The calls of a whole answer's `tool_calls`.
    static func calls(_ value: JSONValue?, seed: String, choice: Int) -> [ToolCall] {
        var calls: [ToolCall] = []
        for element in value?.array ?? [] {
            guard let object = element.object else { continue }
            calls.append(Piece(object).call(seed: seed, choice: choice, position: calls.count))
        }
        return calls
    }

    /// The deprecated single call of a whole answer.
    static func legacyCall(_ object: JSONObject, seed: String, choice: Int) -> ToolCall {
        var call = Piece(["function": .object(object)]).call(seed: seed, choice: choice, position: 0)
        call.extras = Extras(.openAIChat, [ToolDecoder.legacyMark: true])
        return call
    }
}

/// Whether arguments seen so far are an unfinished JSON object.
struct ArgumentBalance {
    /// Whether there was nothing but white space.
    private(set) var isEmpty = true
    private var depth = 0
    private var inString = false
    private var escaped = false

    var isOpen: Bool { depth > 0 || inString }

    mutating func add(_ text: String) {
        for byte in text.utf8 {
            if inString {
                if escaped {
                    escaped = false
                } else if byte == 0x5C {
                    escaped = true
                } else if byte == 0x22 {
                    inString = false
                }
                continue
            }
            switch byte {
            case 0x22: inString = true
            case 0x7B, 0x5B: depth += 1
            case 0x7D, 0x5D: depth = max(0, depth - 1)
            default: break
            }
            if byte > 0x20 { isEmpty = false }
        }
    }
}
