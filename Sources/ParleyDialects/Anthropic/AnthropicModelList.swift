// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

public import ParleyCore

/// Anthropic's list of models, read and written.
public enum AnthropicModelList {
    /// A page as `GET /v1/models` answers; `created` counts seconds since 1970.
    public static func encode(_ entries: [(id: String, created: Int)], hasMore: Bool = false) -> JSONValue {
        [
            "data": .array(entries.map { model($0.id, created: $0.created) }),
            "first_id": entries.first.map { .string($0.id) } ?? .null,
            "last_id": entries.last.map { .string($0.id) } ?? .null, "has_more": .bool(hasMore),
        ]
    }

    /// One model.
    public static func model(_ id: String, created: Int) -> JSONValue {
        [
            "type": "model", "id": .string(id), "display_name": .string(id), "created_at": .string(time(created)),
        ]
    }

    /// The part of a list that a request asks for, and whether there is more in its direction. Without a limit it is
    /// all of it, as far as the request's cursor lets.
    ///
    /// - Parameter query: the query's parameters: `limit`, `after_id`, `before_id`.
    /// - Throws: `invalid`, naming the parameter.
    public static func page<Entry>(
        of entries: [Entry], id: (Entry) -> String, query: (String) -> String?
    ) throws(ParleyError) -> (entries: [Entry], hasMore: Bool) {
        var limit = Int.max
        if let text = query("limit") {
            guard let number = Int(text), (1...1000).contains(number) else {
                throw ParleyError(
                    .invalid, "limit: must be a number from 1 to 1000", code: "invalid_value", parameter: "limit")
            }
            limit = number
        }
        func place(_ name: String, _ cursor: String) throws(ParleyError) -> Int {
            if let index = entries.firstIndex(where: { id($0) == cursor }) { return index }
            throw ParleyError(.invalid, "\(name): there is no such model", code: "invalid_value", parameter: name)
        }
        if let cursor = query("after_id") {
            let rest = entries[(try place("after_id", cursor) + 1)...]
            return (Array(rest.prefix(limit)), rest.count > limit)
        }
        if let cursor = query("before_id") {
            let rest = entries[..<(try place("before_id", cursor))]
            return (Array(rest.suffix(limit)), rest.count > limit)
        }
        return (Array(entries.prefix(limit)), entries.count > limit)
    }

    /// One page of a service's list.
    public struct Page: Sendable {
        /// The models of the page.
        public var models: [(id: String, created: Int?)]
        /// What to give as `after_id` for the next page; nil where this is the last.
        public var next: String?
    }

    /// Reads a page; nil where it is none.
    public static func page(_ value: JSONValue) -> Page? {
        guard let data = value["data"]?.array else { return nil }
        var models: [(id: String, created: Int?)] = []
        for model in data {
            guard let id = model["id"]?.string, !id.isEmpty else { continue }
            models.append((id, model["created_at"]?.string.flatMap(seconds)))
        }
        let hasMore = value["has_more"]?.bool ?? false
        return Page(models: models, next: hasMore ? value["last_id"]?.string ?? models.last?.id : nil)
    }

    /// Seconds since 1970 as `2025-02-19T00:00:00Z` (RFC 3339); what is before 1970 or behind 9999 counts as its edge.
    static func time(_ seconds: Int) -> String {
        let seconds = min(max(seconds, 0), 253_402_300_799)
        let clock = seconds % 86_400
        // Years counted from March, so that the leap day comes last, in eras of 400 years.
        let shifted = seconds / 86_400 + 719_468
        let era = shifted / 146_097
        let dayOfEra = shifted % 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let month = (5 * dayOfYear + 2) / 153
        let day = dayOfYear - (153 * month + 2) / 5 + 1
        let year = yearOfEra + era * 400 + (month >= 10 ? 1 : 0)
        func pad(_ number: Int, _ width: Int = 2) -> String {
            let text = String(number)
            return String(repeating: "0", count: max(0, width - text.count)) + text
        }
        let date = "\(pad(year, 4))-\(pad(month >= 10 ? month - 9 : month + 3))-\(pad(day))"
        return "\(date)T\(pad(clock / 3600)):\(pad(clock / 60 % 60)):\(pad(clock % 60))Z"
    }

    /// Seconds since 1970 of a time as RFC 3339 writes it, to the second and in UTC; nil for anything else.
    static func seconds(_ text: String) -> Int? {
        let parts = text.split(separator: "T", maxSplits: 1)
        guard parts.count == 2, parts[1].hasSuffix("Z") || parts[1].hasSuffix("+00:00") else { return nil }
        let date = parts[0].split(separator: "-").map { Int($0) }
        let clock = parts[1].prefix(8).split(separator: ":").map { Int($0) }
        guard date.count == 3, clock.count == 3, let year = date[0], let month = date[1], let day = date[2],
            let hour = clock[0], let minute = clock[1], let second = clock[2], (1970...9999).contains(year),
            (1...12).contains(month), (1...31).contains(day), (0...23).contains(hour), (0...59).contains(minute),
            (0...60).contains(second)
        else { return nil }
        let shifted = month < 3 ? year - 1 : year
        let era = shifted / 400
        let yearOfEra = shifted - era * 400
        let dayOfYear = (153 * ((month + 9) % 12) + 2) / 5 + day - 1
        let dayOfEra = yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear
        return (((era * 146_097 + dayOfEra - 719_468) * 24 + hour) * 60 + minute) * 60 + second
    }
}
