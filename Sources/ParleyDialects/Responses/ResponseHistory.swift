// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

public import NIOCore
public import ParleyCore
import ParleyWire

/// Earlier turns for upstreams that keep none: a request that goes on from a kept response becomes one that says all.
public enum ResponseHistory {
    /// What a request says of keeping and going on.
    public struct Reference: Sendable, Equatable {
        /// `previous_response_id`.
        public var previous: String?
        /// The id in `conversation`.
        public var conversation: String?
        /// Whether the answer is to be kept: `store`, true unless said otherwise.
        public var isStored = true
        /// `background`.
        public var isBackground = false

        /// A request that says what is given and nothing else.
        public init(previous: String? = nil, conversation: String? = nil, isBackground: Bool = false) {
            self.previous = previous
            self.conversation = conversation
            self.isBackground = isBackground
        }

        /// Whether the request goes on from anything.
        public var isContinuation: Bool { previous != nil || conversation != nil }
        /// Whether the answer must be kept: OpenAI keeps a conversation's items in any case.
        public var mustKeep: Bool { isStored || conversation != nil }
    }

    /// The longest chain of responses that is followed.
    private static let longestChain = 10_000

    /// What a request says of keeping and going on.
    ///
    /// - Throws: `invalid` where a field has the wrong type, or where both ways of going on are used.
    public static func reference(_ body: ByteBuffer) throws(ParleyError) -> Reference {
        let scan = try Intake.scan(body)
        var reference = Reference()
        for name in ["previous_response_id", "conversation", "store", "background"] {
            guard let member = scan.member(name), !scan.isNull(member), let value = try? scan.value(member) else {
                continue
            }
            if let expected = ResponsesField.mismatch(name, value) {
                throw RequestFault.type(name, expected: expected, got: value)
            }
            switch name {
            case "previous_response_id": reference.previous = value.string
            case "conversation": reference.conversation = value.string ?? value["id"]?.string
            case "store": reference.isStored = value.bool ?? true
            default: reference.isBackground = value.bool ?? false
            }
        }
        if reference.previous != nil, reference.conversation != nil {
            throw ParleyError(
                .invalid,
                "Mutually exclusive parameters: 'previous_response_id' and 'conversation'. Give one of them.",
                code: "mutually_exclusive_parameters", parameter: "previous_response_id")
        }
        return reference
    }

    /// Refuses what only an upstream of Responses can do for itself.
    ///
    /// - Throws: `invalid`, naming `background`.
    public static func refuseBackground(_ reference: Reference) throws(ParleyError) {
        guard reference.isBackground else { return }
        throw ParleyError(
            .invalid, "Invalid 'background': this model's provider cannot answer in the background.",
            code: "unsupported_value", parameter: "background")
    }

    /// The responses that a request goes on from, oldest first.
    ///
    /// - Throws: `invalid` (`previous_response_not_found`) where one of them is not kept, or not for this key.
    public static func chain(
        _ reference: Reference, key: String, in store: any ResponseStore
    ) async throws(ParleyError) -> [ResponseRecord] {
        if let conversation = reference.conversation { return try await store.conversation(conversation, key: key) }
        var chain: [ResponseRecord] = []
        var seen: Set<String> = []
        var next = reference.previous
        while let id = next, chain.count < longestChain {
            // A response that goes on from itself does not exist.
            guard seen.insert(id).inserted, let record = try await store.record(id, key: key) else {
                throw notFound(previous: reference.previous ?? id)
            }
            if let conversation = record.conversation {
                // The conversation up to this response is its history.
                let all = try await store.conversation(conversation, key: key)
                chain.append(record)
                chain += all.prefix { $0.id != id }.reversed()
                break
            }
            chain.append(record)
            next = record.previous
        }
        return chain.reversed()
    }

    /// OpenAI's failure for a response to go on from that is not there.
    public static func notFound(previous id: String) -> ParleyError {
        ParleyError(
            .invalid, "Previous response with id '\(id.prefix(100))' not found.", code: "previous_response_not_found",
            parameter: "previous_response_id")
    }

    /// The request with the turns of `chain` before its own items, and without a word of where they come from.
    ///
    /// Reasoning that only its own provider can read loses its ciphertext on the way to another one.
    /// - Parameters:
    ///   - chain: what `chain(_:key:in:)` found.
    ///   - provider: the provider the request goes to; nil takes the last response's.
    /// - Throws: `invalid` where the request's input is neither text nor a list.
    public static func expanded(
        _ body: ByteBuffer, chain: [ResponseRecord], provider: String? = nil
    ) throws(ParleyError) -> ByteBuffer {
        let scan = try Intake.scan(body)
        let target = provider ?? chain.last?.provider
        var items: [JSONValue] = []
        for record in chain {
            let owns = target != nil && record.provider == target
            let turns = list(record.input) + (((try? JSON.parse(record.response))?["output"]?.array) ?? [])
            items += turns.compactMap { portable($0, isOwn: owns, isNative: record.isNative) }
        }
        items = resolved(try own(scan), among: items, before: items)
        return scan.applying([
            .set("input", json: JSON.text(.array(items))), .remove("previous_response_id"), .remove("conversation"),
        ])
    }

    /// The items that a request itself has, as a JSON array: what a record keeps.
    ///
    /// - Throws: `invalid` where the input is neither text nor a list.
    public static func input(_ body: ByteBuffer) throws(ParleyError) -> ByteBuffer {
        var out = ByteBuffer()
        out.writeJSON(.array(try own(try Intake.scan(body))))
        return out
    }

    private static func list(_ json: ByteBuffer) -> [JSONValue] { (try? JSON.parse(json))?.array ?? [] }

    private static func own(_ scan: JSONScan) throws(ParleyError) -> [JSONValue] {
        guard let member = scan.member("input"), !scan.isNull(member) else { return [] }
        let value = (try? scan.value(member)) ?? .null
        if let text = value.string { return [["type": "message", "role": "user", "content": .string(text)]] }
        guard let items = value.array else {
            throw RequestFault.type("input", expected: "one of a string or an array", got: value)
        }
        return items
    }

    /// Items with references replaced by what they refer to, behind `earlier`.
    private static func resolved(
        _ items: [JSONValue], among known: [JSONValue], before earlier: [JSONValue]
    ) -> [JSONValue] {
        guard items.contains(where: { $0["type"] == "item_reference" }) else { return earlier + items }
        var byID: [String: JSONValue] = [:]
        for item in known { if let id = item["id"]?.string { byID[id] = item } }
        // What is referred to stands where the reference does, once.
        var taken: Set<String> = []
        let own = items.map { item -> JSONValue in
            guard item["type"] == "item_reference", let id = item["id"]?.string, let found = byID[id] else {
                return item
            }
            taken.insert(id)
            return found
        }
        return earlier.filter { $0["id"]?.string.map { !taken.contains($0) } ?? true } + own
    }

    /// An item as another request can have it; nil where nothing of it may go there.
    private static func portable(_ item: JSONValue, isOwn: Bool, isNative: Bool) -> JSONValue? {
        guard case .object(var object) = item, object["type"] == "reasoning" else { return item }
        let isOurs = object["id"]?.string?.hasPrefix(ReasoningSeal.itemPrefix) == true
        let cipher = object["encrypted_content"]?.string
        if let cipher, isOwn || cipher.hasPrefix(ReasoningSeal.prefix) { return item }
        if isOwn, isNative || isOurs { return item }
        object["encrypted_content"] = nil
        guard !ReasoningItem.text(object).isEmpty else { return nil }
        if !isOurs { object["id"] = .string(ReasoningSeal.itemPrefix + (object["id"]?.string ?? "")) }
        return .object(object)
    }
}

extension ResponseRecord {
    /// The record of an answer; nil where the response has no id.
    ///
    /// - Parameters:
    ///   - request: the request as the client sent it.
    ///   - response: the response as the client got it.
    ///   - provider: who answered.
    ///   - isNative: whether the provider keeps it too.
    /// - Throws: `invalid` where the request's input is neither text nor a list.
    public init?(
        request: ByteBuffer, response: ByteBuffer, key: String, model: String, provider: String?, isNative: Bool
    ) throws(ParleyError) {
        guard let scan = try? JSONScan(response), let id = scan.member("id").flatMap({ scan.string($0) }),
            !id.isEmpty
        else { return nil }
        let reference = try ResponseHistory.reference(request)
        self.init(
            id: id, key: key, model: model, input: try ResponseHistory.input(request), response: response,
            created: scan.int("created_at") ?? 0,
            status: scan.member("status").flatMap { scan.string($0) } ?? "completed")
        self.provider = provider
        self.isNative = isNative
        previous = reference.previous
        conversation = reference.conversation
    }
}
