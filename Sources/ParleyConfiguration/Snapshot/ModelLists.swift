// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
public import ParleyCore
public import ParleyModels
public import ParleyProviders
import Synchronization

/// Which models there are: the directory, kept up to date with what the providers list.
///
/// Lists are fetched when somebody asks, cached for ten minutes, and kept when a service fails.
public final class ModelLists: Sendable {
    private static let freshness = TimeAmount.minutes(10)
    /// A failed round is not repeated at once, so that a wrong model name cannot make us hammer a service.
    private static let patience = TimeAmount.seconds(10)
    private static let limit = TimeAmount.seconds(10)

    private struct State {
        var directory: Directory
        var lists: [String: [ListedModel]] = [:]
        var descriptions: [String: ListedModel] = [:]
        var refreshed: NIODeadline?
        var isComplete = false
        var running: Task<Void, Never>?
    }

    private let providers: [any ModelSource]
    private let state: Mutex<State>

    init(_ directory: Directory, providers: [any ModelSource]) {
        self.providers = providers
        var lists: [String: [ListedModel]] = [:]
        for provider in providers {
            if let names = provider.listedModels { lists[provider.name] = names.map { ListedModel(id: $0) } }
        }
        var state = State(directory: directory, lists: lists)
        // Where every provider knows its models there is nothing to fetch.
        state.isComplete = providers.allSatisfy { $0.listedModels != nil }
        Self.rebuild(&state, providers)
        self.state = Mutex(state)
    }

    /// The models by name.
    public var directory: Directory { state.withLock { $0.directory } }

    /// The model of a name; nil where there is none.
    public func model(named name: String) -> (any Model)? {
        guard case .model(let model) = directory.resolve(name) else { return nil }
        return model
    }

    /// What the model called `name` is made of, and how its upstreams fare, as JSON; nil where there is none.
    public func explanation(of name: String) -> JSONValue? { directory.tree(of: name)?.json }

    /// What its provider says about a model, by the name clients use.
    public func description(of name: String) -> ListedModel? {
        state.withLock { $0.descriptions[name] }
    }

    /// Who owns a model whose provider does not say: the provider, or Parley for what it puts together.
    public func owner(of name: String) -> String {
        let provider = name.prefix { $0 != "/" }
        return providers.contains { $0.name == provider } ? String(provider) : "parley"
    }

    /// How many models each provider lists, in file order; nil where nothing was fetched yet.
    public var counts: [(provider: String, count: Int?)] {
        state.withLock { state in providers.map { ($0.name, state.lists[$0.name]?.count) } }
    }

    /// Fetches the lists unless they are fresh.
    public func refreshIfNeeded(through connector: any Connector) async {
        let isFresh = state.withLock { state in
            guard let refreshed = state.refreshed else { return state.isComplete }
            return refreshed + Self.freshness > .now()
        }
        if !isFresh { await refresh(through: connector) }
    }

    /// Fetches the lists now, once for all who ask at the same time, and not again within ten seconds.
    public func refresh(through connector: any Connector) async {
        await refresh(through: connector, patience: Self.patience)
    }

    /// Fetches the lists now, however fresh they are, once for all who ask at the same time.
    public func refreshNow(through connector: any Connector) async {
        await refresh(through: connector, patience: .zero)
    }

    private func refresh(through connector: any Connector, patience: TimeAmount) async {
        let task = state.withLock { state -> Task<Void, Never>? in
            if let running = state.running { return running }
            if let refreshed = state.refreshed, refreshed + patience > .now() { return nil }
            guard !providers.allSatisfy({ $0.listedModels != nil }) else { return nil }
            let task = Task(executorPreference: connector.executor) { await self.fetch(through: connector) }
            state.running = task
            return task
        }
        await task?.value
    }

    /// Not part of any one request: whoever asked first may leave while others wait.
    private func fetch(through connector: any Connector) async {
        let fetched = await withTaskGroup(of: (String, [ListedModel]?).self) { group in
            for provider in providers where provider.listedModels == nil {
                group.addTask { (provider.name, try? await provider.discover(connector)) }
            }
            var lists: [(String, [ListedModel]?)] = []
            for await list in group { lists.append(list) }
            return lists
        }
        state.withLock { state in
            for case (let name, let list?) in fetched { state.lists[name] = list }
            state.refreshed = .now()
            state.running = nil
            Self.rebuild(&state, providers)
        }
    }

    private static func rebuild(_ state: inout State, _ providers: [any ModelSource]) {
        let lists = providers.compactMap { provider in
            state.lists[provider.name].map { ProviderList(provider: provider.name, ids: $0.map(\.id)) }
        }
        state.directory = state.directory.updating(lists: lists)
        state.descriptions = [:]
        for provider in providers {
            for model in state.lists[provider.name] ?? [] {
                state.descriptions["\(provider.name)/\(model.id)"] = model
                if state.descriptions[model.id] == nil { state.descriptions[model.id] = model }
            }
        }
    }
}
