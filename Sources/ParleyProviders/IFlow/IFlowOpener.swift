// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore

/// Asks iFlow for an answer: with the login's key, once more after new tokens where the key was refused, and with what the
/// service says of errors, sometimes with a good status, put the way everybody else says it.
final class IFlowOpener: AnswerOpener {
    private let access: ServiceAccess
    private let account: IFlowAccount?

    init(_ access: ServiceAccess, _ account: IFlowAccount?) {
        self.access = access
        self.account = account
    }

    func open(_ request: OpenerRequest) async throws(ParleyError) -> any UpstreamAnswer {
        guard let account else { return try await send(request, key: request.credential.secret) }
        let key = try await account.key(through: request.connector)
        let answer = try await send(request, key: key.text)
        guard answer.status == 401, account.refused(key) else { return answer }
        answer.cancel()
        return try await send(request, key: try await account.key(through: request.connector).text)
    }

    private func send(_ request: OpenerRequest, key: String?) async throws(ParleyError) -> any UpstreamAnswer {
        let outgoing = UpstreamRequest(
            endpoint: request.target.endpoint, head: access.head(request.target, key.map { [.bearer($0)] } ?? []),
            body: request.body, isIdempotent: false, connectTimeout: request.connectTimeout,
            headDeadline: request.first)
        let answer = try await request.connector.open(outgoing)
        do throws(ParleyError) {
            return try await IFlowAnswer.read(answer, request)
        } catch {
            answer.cancel()
            throw error
        }
    }
}
