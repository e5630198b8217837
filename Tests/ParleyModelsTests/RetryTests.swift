// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyModels
import Testing

@Suite struct RetryTests {
    private let down = ParleyError(.upstreamUnavailable, "down")

    private func retry(_ model: ScriptedModel, attempts: Int = 3) -> Retry {
        Retry(model, policy: RetryPolicy(attempts: attempts), random: { 1 })
    }

    @Test("A later try's answer is the answer, after growing waits")
    func recovers() async throws {
        let connector = SleepyConnector()
        let model = ScriptedModel("p/m", .fail(down), .fail(down), .answer("third"))
        #expect(try await answerer(retry(model), makeCall(connector)) == "third")
        #expect(connector.slept == [.milliseconds(250), .milliseconds(500)])
        #expect(retry(model).name == "p/m")
    }

    @Test("The last error is thrown when the tries are used up")
    func exhausted() async {
        let last = ParleyError(.timeout, "late")
        let model = ScriptedModel("p/m", .fail(down), .fail(last))
        #expect(await failure(retry(model, attempts: 2)) == last)
        #expect(model.calls.count == 2)
    }

    @Test("What trying again does not help is thrown at once")
    func permanent() async {
        let connector = SleepyConnector()
        let wrong = ParleyError(.invalid, "wrong")
        let model = ScriptedModel("p/m", .fail(wrong), .answer("never"))
        #expect(await failure(retry(model), makeCall(connector)) == wrong)
        #expect(model.calls.count == 1)
        #expect(connector.slept.isEmpty)
    }

    @Test("A call whose deadline has passed is not tried again")
    func late() async {
        let connector = SleepyConnector()
        let model = ScriptedModel("p/m", .fail(down))
        #expect(await failure(retry(model), makeCall(connector, deadline: .now())) == down)
        #expect(connector.slept.isEmpty)
    }

    @Test("A client that leaves during the wait ends the call")
    func cancelledWhileWaiting() async {
        let connector = SleepyConnector(onSleep: { withUnsafeCurrentTask { $0?.cancel() } })
        let model = ScriptedModel("p/m", .fail(down), .answer("never"))
        let retry = retry(model)
        let error = await Task { await failure(retry, makeCall(connector)) }.value
        #expect(error?.kind == .cancelled)
        #expect(model.calls.count == 1)
    }

    @Test("A client that leaves during an attempt ends the call, whatever the attempt reports")
    func cancelledWhileTrying() async {
        let connector = SleepyConnector()
        let model = ScriptedModel("p/m", .cancelTaskThenFail(down), .answer("never"))
        let retry = retry(model)
        let error = await Task { await failure(retry, makeCall(connector)) }.value
        #expect(error?.kind == .cancelled)
        #expect(model.calls.count == 1)
        #expect(connector.slept.isEmpty)
    }
}
