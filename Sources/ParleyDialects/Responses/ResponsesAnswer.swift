// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import ParleyCore

/// Puts an answer together from the events of a stream, or from a whole response at once.
struct ResponsesAnswer {
    private(set) var isComplete = false
    private var isStarted = false
    private var items: [ResponsesItemState] = []
    private var calls = 0

    /// Reads one event.
    mutating func read(_ event: JSONObject, named name: String?, into events: inout [Event]) throws(ParleyError) {
        let type = event["type"]?.string ?? name ?? ""
        switch type {
        case "error": throw ResponsesFailure.read(.object(event))
        case "response.created", "response.in_progress", "response.queued":
            if let response = event["response"]?.object { start(response, into: &events) }
        case "response.completed", "response.incomplete", "response.failed", "response.cancelled":
            guard let response = event["response"]?.object else {
                throw ParleyError(.upstreamUnavailable, "The upstream's stream ended without its response.")
            }
            try read(whole: response, ending: String(type.dropFirst("response.".count)), into: &events)
        case _ where type.hasPrefix("response."): readItem(event, type, into: &events)
        default:
            // Keep-alives have a type and nothing else.
            if let failure = UpstreamFailure(embeddedIn: event), event["type"] == nil { throw failure.error() }
        }
    }

    /// Reads a final response: all of it that no event has said before.
    mutating func read(
        whole response: JSONObject, ending: String, into events: inout [Event]
    ) throws(ParleyError) {
        start(response, into: &events)
        let status = response["status"]?.string ?? ending
        if status == "failed" || response["error"]?.object != nil {
            throw ResponsesFailure.read(["error": response["error"] ?? .null])
        }
        guard status == "completed" || status == "incomplete" else {
            throw ParleyError(
                .upstreamUnavailable, "The upstream did not finish its answer (status '\(status.prefix(40))').")
        }
        readOutput(response["output"]?.array ?? [], into: &events)
        endItems(into: &events)
        var reason = calls > 0 ? FinishReason.toolCalls : .stop
        if status == "incomplete" {
            reason = response["incomplete_details"]?["reason"] == "content_filter" ? .contentFilter : .length
        }
        events.append(.finish(choice: 0, reason))
        let usage = WireUsage.read(response["usage"], quirks: Quirks())
        if !usage.isEmpty { events.append(.usage(usage)) }
        isComplete = true
    }

    /// `[DONE]` from a server that sends no final response: well where something was said.
    mutating func endWithoutResponse(into events: inout [Event]) throws(ParleyError) {
        guard !items.isEmpty else {
            throw ParleyError(.upstreamUnavailable, "The upstream's stream ended without an answer.")
        }
        endItems(into: &events)
        events.append(.finish(choice: 0, calls > 0 ? .toolCalls : .stop))
        isComplete = true
    }

    private mutating func start(_ response: JSONObject, into events: inout [Event]) {
        guard !isStarted else { return }
        isStarted = true
        var identity = AnswerIdentity(
            id: response["id"]?.string ?? "", model: response["model"]?.string ?? "",
            created: max(0, response["created_at"]?.int ?? response["created_at"]?.double.flatMap(Self.whole) ?? 0))
        if let tier = response["service_tier"], tier.string != nil {
            identity.extras = Extras(.openAIResponses, ["service_tier": tier])
        }
        events.append(.start(identity))
    }

    private static func whole(_ seconds: Double) -> Int? { Int(exactly: seconds.rounded(.down)) }

    /// Begins calls that never got a name, so that what came of them is not lost.
    private mutating func endItems(into events: inout [Event]) {
        for slot in items.indices { items[slot].end(&calls, into: &events) }
    }

    // MARK: - Items

    private mutating func readItem(_ event: JSONObject, _ type: String, into events: inout [Event]) {
        guard let index = event["output_index"]?.int ?? items.last?.index else { return }
        start([:], into: &events)
        switch type {
        case "response.output_item.added":
            guard let item = event["item"]?.object else { return }
            items[slot(index, .init(item))].begin(item, &calls, into: &events)
        case "response.output_item.done":
            guard let item = event["item"]?.object else { return }
            items[slot(index, .init(item))].complete(item, &calls, into: &events)
        default:
            guard let kind = ResponsesItemState.Kind(event: type) else { return }
            items[slot(index, kind)].read(event, type, &calls, into: &events)
        }
    }

    /// The state of the item at an index, which is begun where it is new.
    private mutating func slot(_ index: Int, _ kind: ResponsesItemState.Kind) -> Int {
        if let slot = items.lastIndex(where: { $0.index == index }) { return slot }
        items.append(ResponsesItemState(index: index, kind: kind))
        return items.count - 1
    }

    /// Reads a final response's items. The first of a kind is the first of that kind in the stream, and so on: some
    /// servers leave items out at the end, or number them otherwise.
    private mutating func readOutput(_ output: [JSONValue], into events: inout [Event]) {
        var known: [ResponsesItemState.Kind: [Int]] = [:]
        for slot in items.indices.sorted(by: { items[$0].index < items[$1].index }) {
            known[items[slot].kind, default: []].append(slot)
        }
        var next: [ResponsesItemState.Kind: Int] = [:]
        for value in output {
            guard let item = value.object else { continue }
            let kind = ResponsesItemState.Kind(item)
            let place = next[kind, default: 0]
            next[kind] = place + 1
            let slots = known[kind] ?? []
            if place < slots.count {
                items[slots[place]].complete(item, &calls, into: &events)
            } else {
                items.append(ResponsesItemState(index: items.count, kind: kind))
                items[items.count - 1].complete(item, &calls, into: &events)
            }
        }
    }
}
