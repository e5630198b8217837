// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyDialects
import ParleyWire

/// Reads a service's list of models, whatever its shape.
enum ModelList {
    /// The largest list that is read; OpenRouter's is about a megabyte.
    private static let limit = 16 << 20

    static func fetch(
        _ target: Target, head: ByteBuffer, provider: String, dialect: any Dialect, connector: any Connector,
        read: (JSONValue) -> [ListedModel]? = ModelList.read
    ) async throws(ParleyError) -> [ListedModel] {
        let value = try await value(target, head: head, provider: provider, dialect: dialect, connector: connector)
        guard let models = read(value) else { throw unreadable(provider) }
        return models
    }

    /// The list as the service sent it.
    static func value(
        _ target: Target, head: ByteBuffer, provider: String, dialect: any Dialect, connector: any Connector
    ) async throws(ParleyError) -> JSONValue {
        let limits = AttemptLimits(target.timeouts, TimeoutOverrides(), deadline: .distantFuture, now: .now())
        let request = UpstreamRequest(
            endpoint: target.endpoint, head: head, body: nil, isIdempotent: true, connectTimeout: limits.connect,
            headDeadline: limits.first)
        let reader: AnswerReader
        do throws(ParleyError) {
            reader = AnswerReader(try await connector.open(request), limits: limits)
        } catch {
            throw error.named(provider)
        }
        defer { reader.cancel() }
        let (body, isWhole) = try await reader.collect(limit: limit)
        guard (200..<300).contains(reader.status) else {
            throw dialect.decodeFailure(status: reader.status, headers: reader.headers, body: body).named(provider)
        }
        guard isWhole else {
            throw ParleyError(.upstreamUnavailable, "\(provider): the list of models is too long")
        }
        guard let value = try? JSON.parse(body) else { throw unreadable(provider) }
        return value
    }

    private static func unreadable(_ provider: String) -> ParleyError {
        ParleyError(.upstreamUnavailable, "\(provider): the list of models is unreadable")
    }

    /// The models of a list: `{"data":[…]}`, `{"models":[…]}`, a bare array, of objects or names.
    static func read(_ value: JSONValue) -> [ListedModel]? {
        let list =
            value.array ?? value["data"]?.array ?? value["models"]?.array ?? value["result"]?.array
            ?? value["data"]?["models"]?.array ?? value["data"]?["data"]?.array
        guard let list else { return nil }
        var seen: Set<String> = []
        return list.compactMap(model).filter { seen.insert($0.id).inserted }
    }

    private static func model(_ value: JSONValue) -> ListedModel? {
        var id = value.string ?? value["id"]?.string ?? value["name"]?.string ?? value["model"]?.string ?? ""
        // Google lists `models/x` and is asked for `x`.
        if id.hasPrefix("models/") { id.removeFirst("models/".count) }
        guard !id.isEmpty else { return nil }
        let owner = ["owned_by", "organization", "publisher", "owner"].lazy.compactMap { value[$0]?.string }.first
        var created = value["created"]?.double
        // Some count milliseconds.
        if let time = created, time > 100_000_000_000 { created = time / 1000 }
        return ListedModel(
            id: id, created: created.flatMap { Int(exactly: $0.rounded(.down)) }.flatMap { $0 > 0 ? $0 : nil },
            ownedBy: owner.flatMap { $0.isEmpty ? nil : $0 })
    }
}
