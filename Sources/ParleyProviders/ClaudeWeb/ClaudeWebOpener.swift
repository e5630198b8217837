// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyDialects
import ParleyWire
import Synchronization

/// Finds a conversation for a call and asks in it. One that is not there any more is replaced once.
final class ClaudeWebOpener: AnswerOpener {
    private let accounts: [ClaudeWebAccount]
    private let conversations: ClaudeWebConversations
    private let cleaner = ConversationCleaner()
    /// The way to ask that the site is known to have.
    private let form = Mutex(ClaudeWebAccount.Form.completion)

    init(_ accounts: [ClaudeWebAccount], conversations: ClaudeWebConversations) {
        self.accounts = accounts
        self.conversations = conversations
    }

    func open(_ request: OpenerRequest) async throws(ParleyError) -> any UpstreamAnswer {
        guard accounts.indices.contains(request.credential.index),
            let body = (try? JSON.parse(request.body))?.object
        else { throw ParleyError(.internalError, "The request was not written for Claude's web site.") }
        let account = accounts[request.credential.index]
        let organization = try await account.organization(through: request.connector)
        let place = Place(account: account, organization: organization, request: request)
        var conversation = try await self.conversation(place)
        do throws(ParleyError) {
            var answer = try await account.ask(current, body, in: conversation, of: organization, request)
            if answer.status == 404 {
                answer.cancel()
                account.forget(conversation)
                conversation = try await self.conversation(place)
                answer = try await again(body, in: conversation, place)
            }
            return closing(answer, conversation, place)
        } catch {
            clean(conversation, place)
            throw error
        }
    }

    /// Where a call is answered.
    private struct Place {
        let account: ClaudeWebAccount
        let organization: String
        let request: OpenerRequest
    }

    private var current: ClaudeWebAccount.Form { form.withLock { $0 } }

    private func conversation(_ place: Place) async throws(ParleyError) -> String {
        let connector = place.request.connector
        switch conversations {
        case .each:
            return try await place.account.create(
                in: place.organization, through: connector, StepLimits(place.request))
        case .one: return try await place.account.shared(in: place.organization, through: connector)
        }
    }

    /// Asks in a conversation that was just made; where even that is not found, the site has the older way only.
    private func again(
        _ body: JSONObject, in conversation: String, _ place: Place
    ) async throws(ParleyError) -> any UpstreamAnswer {
        let (account, organization, request) = (place.account, place.organization, place.request)
        let form = current
        let answer = try await account.ask(form, body, in: conversation, of: organization, request)
        guard answer.status == 404, form == .completion else { return answer }
        answer.cancel()
        let older = try await account.ask(.append, body, in: conversation, of: organization, request)
        if older.status != 404 { self.form.withLock { $0 = .append } }
        return older
    }

    // MARK: - Behind the answer

    private func closing(_ answer: any UpstreamAnswer, _ conversation: String, _ place: Place) -> any UpstreamAnswer {
        guard case .each(isKept: false) = conversations else { return answer }
        return ClosingAnswer(answer) { self.clean(conversation, place) }
    }

    private func clean(_ conversation: String, _ place: Place) {
        guard case .each(isKept: false) = conversations else { return }
        let (account, organization, connector) = (place.account, place.organization, place.request.connector)
        cleaner.add(on: connector.executor) {
            await account.delete(conversation, of: organization, through: connector)
        }
    }
}

/// An answer with something to be done behind it, once, however it ends.
private final class ClosingAnswer: UpstreamAnswer {
    private let answer: any UpstreamAnswer
    private var close: (() -> Void)?

    init(_ answer: any UpstreamAnswer, close: @escaping () -> Void) {
        self.answer = answer
        self.close = close
    }

    // A call that is cancelled, or whose answer breaks off, lets go of it without a word.
    deinit { end() }

    var status: Int { answer.status }
    var headers: HeaderBlock { answer.headers }

    func next(by deadline: NIODeadline) async throws(ParleyError) -> ByteBuffer? {
        let bytes = try await answer.next(by: deadline)
        if bytes == nil { end() }
        return bytes
    }

    func cancel() {
        answer.cancel()
        end()
    }

    func finish() {
        answer.finish()
        end()
    }

    func forward(to receiver: any ArrivalReceiver) { answer.forward(to: receiver) }

    private func end() { close.take()?() }
}

/// Deletes conversations behind their answers, a few at a time. Nobody waits for it; what is too much is left in the
/// account.
final class ConversationCleaner: Sendable {
    typealias Work = @Sendable () async -> Void

    /// How many are deleted at once.
    static let atOnce = 4
    /// How many may wait.
    static let waiting = 256

    private struct Job: Sendable {
        let executor: any TaskExecutor
        let work: Work
    }

    private struct State {
        var running = 0
        var jobs: [Job] = []
    }

    private let state = Mutex(State())

    /// Has `work` done on the executor, soon.
    ///
    /// - Returns: false where too much waits already.
    @discardableResult
    func add(on executor: any TaskExecutor, _ work: @escaping Work) -> Bool {
        let job = Job(executor: executor, work: work)
        let (isTaken, isDue) = state.withLock { state -> (Bool, Bool) in
            guard state.running >= Self.atOnce else {
                state.running += 1
                return (true, true)
            }
            guard state.jobs.count < Self.waiting else { return (false, false) }
            state.jobs.append(job)
            return (true, false)
        }
        if isDue { start(job) }
        return isTaken
    }

    private func start(_ job: Job) {
        // A task of its own, since the call may be over before it; each on the event loop of its call.
        Task(executorPreference: job.executor) {
            await job.work()
            self.next()
        }
    }

    private func next() {
        let job = state.withLock { state -> Job? in
            if state.jobs.isEmpty {
                state.running -= 1
                return nil
            }
            return state.jobs.removeFirst()
        }
        if let job { start(job) }
    }
}
