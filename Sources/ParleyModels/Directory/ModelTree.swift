// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
public import ParleyCore

/// What a model is made of, and how the upstreams at its leaves fare: for people to read.
public struct ModelTree: Sendable, Equatable {
    /// How an upstream fares.
    public struct Health: Sendable, Equatable {
        /// `closed`, `half-open` or `open`: the state of its breaker.
        public var state: String
        /// Calls whose answers are not complete.
        public var inFlight: Int
        /// Failures in a row.
        public var failures: Int
        /// Seconds to the first event of streams lately; nil where nothing was measured.
        public var first: Double?
        /// Seconds to whole answers lately; nil where nothing was measured.
        public var whole: Double?
        /// For how many seconds it will be left alone; nil where it may be asked.
        public var rests: Double?
    }

    /// The model's name.
    public var name: String
    /// What it is: `upstream`, `alias`, `route: fallback`, ….
    public var kind: String
    /// What it is for in the model above, beside being one of its members: `on context exceeded`, ….
    public var role: String?
    /// Its settings in words.
    public var settings: [String] = []
    /// How it fares; upstreams below a route have this.
    public var health: Health?
    /// What it is made of.
    public var members: [ModelTree] = []

    /// A model.
    public init(_ name: String, _ kind: String, settings: [String] = [], members: [ModelTree] = []) {
        self.name = name
        self.kind = kind
        self.settings = settings
        self.members = members
    }
}

/// A model that can say what it is made of.
public protocol Explained: Model {
    /// What it is made of.
    var tree: ModelTree { get }
}

extension ModelTree {
    /// What a model is made of; an upstream where it does not say.
    public init(of model: any Model) {
        self = (model as? any Explained)?.tree ?? ModelTree(model.name, "upstream")
    }
}

extension Alias: Explained {
    /// The model behind the name.
    public var tree: ModelTree { ModelTree(name, "alias", members: [ModelTree(of: model)]) }
}

extension Unavailable: Explained {
    /// Nothing.
    public var tree: ModelTree { ModelTree(name, "unavailable", settings: [error.message]) }
}

extension Adjusted: Explained {
    /// The model, with what is set for it.
    public var tree: ModelTree {
        var tree = ModelTree(of: model)
        for field in overrides { tree.settings.append("\(field.name) = \(field.json)") }
        for (name, time) in [
            ("connect", timeouts.connect), ("first", timeouts.first), ("idle", timeouts.idle),
            ("total", timeouts.total),
        ] {
            if let time { tree.settings.append("\(name) within \(time.words)") }
        }
        if system != nil { tree.settings.append("a system message") }
        return tree
    }
}

extension Retry: Explained {
    /// The model, with its number of tries.
    public var tree: ModelTree {
        var tree = ModelTree(of: model)
        if policy.attempts > 1 { tree.settings.append("\(policy.attempts) tries") }
        return tree
    }
}

extension Watched: Explained {
    /// The upstream, with how it fares.
    public var tree: ModelTree {
        var tree = ModelTree(of: model)
        let now = NIODeadline.now()
        let (health, settings) = (watcher.health, watcher.settings)
        let (streamed, whole) = (health.look(at: now, stream: true), health.look(at: now, stream: false))
        var state = "closed"
        var rests: Double?
        switch streamed.standing {
        case .closed: break
        case .halfOpen: state = "half-open"
        case .open(let end):
            state = "open"
            rests = Double((end - now).nanoseconds) / 1e9
        }
        tree.health = ModelTree.Health(
            state: state, inFlight: streamed.inFlight, failures: health.failures, first: streamed.first,
            whole: whole.first, rests: rests)
        tree.settings.append("left alone for \(settings.cooldown.words) after \(settings.failures) failures")
        return tree
    }
}

extension Route: Explained {
    /// The members in the order of their priorities, then the models for special cases.
    public var tree: ModelTree {
        let rules = plan.rules
        var tree = ModelTree(name, "route: \(rules.strategy.rawValue)")
        let hasPriorities = plan.members.contains { $0.priority != 0 }
        for member in plan.members {
            var below = ModelTree(of: member.model)
            if hasPriorities { below.settings.insert("priority \(member.priority)", at: 0) }
            if rules.strategy == .weighted { below.settings.insert("weight \(member.weight)", at: 0) }
            tree.members.append(below)
        }
        for (model, role) in [
            (rules.onContextExceeded, "on context exceeded"), (rules.onContentFilter, "on content filter"),
        ] {
            guard let model else { continue }
            var below = ModelTree(of: model)
            below.role = role
            tree.members.append(below)
        }
        if let hedge = rules.hedge {
            tree.settings.append(
                "a second attempt after \(hedge.after.words) for at most \(hedge.budget * 100)% of calls")
        }
        if rules.affinity != .none { tree.settings.append("sticks to a member by \(rules.affinity.rawValue)") }
        if rules.resumes { tree.settings.append("continues streams that break off") }
        return tree
    }
}

extension Reason: Explained {
    /// Those who think, then the judge.
    public var tree: ModelTree {
        var tree = ModelTree(name, "reason: \(rules.strategy.rawValue)")
        for (index, model) in team.enumerated() {
            var below = ModelTree(of: model)
            // Who judges is often one of them.
            if index == team.count - 1 {
                guard !tree.members.contains(below) else { continue }
                below.role = "judge"
            }
            tree.members.append(below)
        }
        return tree
    }
}

extension Cached: Explained {
    /// The model, with how long its answers are kept.
    public var tree: ModelTree {
        var tree = ModelTree(of: model)
        tree.settings.append("answers are kept for \(ttl.words)")
        return tree
    }
}

extension TimeAmount {
    /// The time as settings are written.
    fileprivate var words: String {
        let (milliseconds, rest) = nanoseconds.quotientAndRemainder(dividingBy: 1_000_000)
        if rest != 0 { return "\(nanoseconds) ns" }
        return milliseconds % 1000 == 0 ? "\(milliseconds / 1000) s" : "\(milliseconds) ms"
    }
}
