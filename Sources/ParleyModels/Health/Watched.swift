// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
public import ParleyCore

/// An upstream whose calls are counted: how many run, how soon they answer, and how they fail.
public struct Watched: Model {
    /// The upstream's name.
    public var name: String { model.name }

    let model: any Model
    let watcher: HealthWatcher

    /// Watches `model`.
    public init(_ model: any Model, _ health: UpstreamHealth, _ settings: BreakerSettings) {
        self.model = model
        watcher = HealthWatcher(health: health, settings: settings)
    }

    /// Answers as the upstream does.
    public func answer(_ call: Call) async throws(ParleyError) -> Reply {
        let began = NIODeadline.now()
        let (health, settings) = (watcher.health, watcher.settings)
        health.begin(at: began)
        do throws(ParleyError) {
            var reply = try await model.answer(call)
            health.committed(
                began: began, at: .now(), measures: call.operation == .chat, stream: call.stream, settings)
            reply.watchers.append(watcher)
            return reply
        } catch {
            health.failed(error, began: began, at: .now(), stream: call.stream, settings)
            throw error
        }
    }
}

/// Tells an upstream's health how answers end. One for all calls, since it keeps nothing about them.
final class HealthWatcher: ReplyWatcher, Sendable {
    let health: UpstreamHealth
    let settings: BreakerSettings

    init(health: UpstreamHealth, settings: BreakerSettings) {
        self.health = health
        self.settings = settings
    }

    func ended(_ seen: Observation, _ failure: ParleyError?) {
        health.ended(failure, at: .now(), settings)
    }
}
