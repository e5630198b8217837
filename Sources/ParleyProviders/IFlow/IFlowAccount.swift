// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import Glibc
import NIOCore
import ParleyCore
import Synchronization

/// One user's login at iFlow: read from the store when it is first needed, renewed by one task for all who wait, and kept
/// before it is used, since a refresh token that was used is worth nothing and its successor must not be lost.
final class IFlowAccount: Sendable {
    private typealias Outcome = Result<IFlowKey, ParleyError>

    private struct State {
        var machine: IFlowLoginMachine
        /// Whoever is changing the login.
        var running: Task<Outcome, Never>?
    }

    /// More steps than any way through the machine has; a login that another process changes all the time ends here.
    private static let stepLimit = 12

    let service: IFlowSignIn
    private let name: String
    private let store: (any CredentialStore)?
    private let clock: @Sendable () -> Int64
    private let state: Mutex<State>

    init(
        _ name: String, service: IFlowSignIn, store: (any CredentialStore)?,
        clock: @escaping @Sendable () -> Int64 = IFlowAccount.now
    ) {
        self.name = name
        self.service = service
        self.store = store
        self.clock = clock
        state = Mutex(State(machine: IFlowLoginMachine(name: name)))
    }

    /// A key that is good for a call.
    ///
    /// - Throws: why there is none, and where to sign in.
    func key(through connector: any Connector) async throws(ParleyError) -> IFlowKey {
        let now = clock()
        let (key, task) = state.withLock { state -> (IFlowKey?, Task<Outcome, Never>?) in
            if let running = state.running { return (nil, running) }
            switch state.machine.step(now: now) {
            case .use(let key): return (key, nil)
            default: return (nil, begin(&state, through: connector) { await self.settle(through: connector) })
            }
        }
        if let key { return key }
        guard let task else { throw ParleyError(.internalError, "No login is being prepared.") }
        return try await task.value.get()
    }

    /// The service has refused a key.
    ///
    /// - Returns: whether asking for a key again may give a better one.
    func refused(_ key: IFlowKey) -> Bool { state.withLock { $0.machine.refused(key) } }

    /// Makes a login of the code that a browser brought back.
    func signIn(code: String, redirect: String, through connector: any Connector) async throws(ParleyError) {
        _ = try await alone(through: connector) {
            do throws(ParleyError) {
                let login = try await self.service.login(
                    code: code, redirect: redirect, now: self.clock(), through: connector)
                try await self.store?.save(login.object, for: self.name)
                let now = self.clock()
                self.state.withLock { state in
                    state.machine.read(nil, now: now)
                    state.machine.adopt(login)
                }
                return .success(IFlowKey(text: "", generation: 0))
            } catch {
                return .failure(error)
            }
        }
    }

    /// Gets new tokens, whatever the old ones are worth.
    func renew(through connector: any Connector) async throws(ParleyError) {
        _ = try await alone(through: connector) {
            if !self.state.withLock({ $0.machine.isRead }), let error = await self.read() { return .failure(error) }
            self.state.withLock { $0.machine.wear() }
            return await self.settle(through: connector)
        }
    }

    /// Forgets the login, also in the store.
    func forget(through connector: any Connector) async throws(ParleyError) {
        _ = try await alone(through: connector) {
            do throws(ParleyError) {
                try await self.store?.forget(self.name)
            } catch {
                return .failure(error)
            }
            let now = self.clock()
            self.state.withLock { state in
                state.machine.read(nil, now: now)
                state.machine.adopt(nil)
            }
            return .success(IFlowKey(text: "", generation: 0))
        }
    }

    /// How things are.
    func status(through connector: any Connector) async throws(ParleyError) -> SignInStatus {
        _ = try await alone(through: connector) {
            if !self.state.withLock({ $0.machine.isRead }), let error = await self.read() { return .failure(error) }
            return .success(IFlowKey(text: "", generation: 0))
        }
        let machine = state.withLock { $0.machine }
        let problem = machine.problem?.message
        guard let login = machine.login else { return SignInStatus(isSignedIn: false, problem: problem) }
        return SignInStatus(
            isSignedIn: true, user: login.name, ends: login.expires.map { $0 / 1000 }, problem: problem)
    }

    // MARK: - One at a time

    private func begin(
        _ state: inout State, through connector: any Connector, _ work: @escaping @Sendable () async -> Outcome
    ) -> Task<Outcome, Never> {
        let task = Task(executorPreference: connector.executor) {
            let outcome = await work()
            self.state.withLock { $0.running = nil }
            return outcome
        }
        state.running = task
        return task
    }

    /// Does something with the login while nobody else does.
    private func alone(
        through connector: any Connector, _ work: @escaping @Sendable () async -> Outcome
    ) async throws(ParleyError) -> IFlowKey {
        while true {
            let (task, isMine) = state.withLock { state -> (Task<Outcome, Never>, Bool) in
                if let running = state.running { return (running, false) }
                return (begin(&state, through: connector, work), true)
            }
            let outcome = await task.value
            if isMine { return try outcome.get() }
        }
    }

    // MARK: - Steps

    /// Goes from step to step until it is clear whether a call can be made.
    private func settle(through connector: any Connector) async -> Outcome {
        for _ in 0..<Self.stepLimit {
            let now = clock()
            switch state.withLock({ $0.machine.step(now: now) }) {
            case .use(let key): return .success(key)
            case .refuse(let error): return .failure(error)
            case .read: if let error = await read() { return .failure(error) }
            case .save(let login): if let error = await save(login) { return .failure(error) }
            case .renew(let login): await renew(login, through: connector)
            case .lookUp(let login): await lookUp(login, through: connector)
            }
        }
        return .failure(
            ParleyError(.upstreamUnavailable, "The login is being changed elsewhere; try again.", status: 503))
    }

    private func read() async -> ParleyError? {
        do throws(ParleyError) {
            let stored = try await store?.load(name)
            let now = clock()
            state.withLock { $0.machine.read(stored.flatMap { IFlowLogin($0) }, now: now) }
            return nil
        } catch {
            return error
        }
    }

    private func save(_ login: IFlowLogin) async -> ParleyError? {
        do throws(ParleyError) {
            try await store?.save(login.object, for: name)
            state.withLock { $0.machine.saved(login) }
            return nil
        } catch {
            return error
        }
    }

    private func renew(_ login: IFlowLogin, through connector: any Connector) async {
        // Another process with the same store may have been faster; a refresh token works once.
        if let stored = try? await store?.load(name).flatMap({ IFlowLogin($0) }), !stored.isSame(as: login) {
            state.withLock { $0.machine.adopt(stored) }
            return
        }
        do throws(IFlowSignIn.Refusal) {
            let tokens = try await service.renewed(login, now: clock(), through: connector)
            let now = clock()
            state.withLock { $0.machine.renewed(login, tokens, now: now) }
        } catch {
            let now = clock()
            let said = error.error(renewing: name)
            state.withLock { $0.machine.renewalFailed(said, isFinal: error.isFinal, now: now) }
        }
    }

    private func lookUp(_ login: IFlowLogin, through connector: any Connector) async {
        let user = try? await service.user(login.accessToken, through: connector)
        state.withLock { $0.machine.lookedUp(user) }
    }

    /// Milliseconds since 1970.
    static func now() -> Int64 {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000
    }
}
