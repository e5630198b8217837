// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore

/// A whole answer that is JSON of ours, whatever the client's dialect.
final class ReadyBody: AnswerBody {
    let contentType = "application/json"
    let observed: Observation
    private var json: String?

    /// - Parameter response: what the client would get otherwise; for the account.
    init(json: String, of response: ChatResponse) {
        self.json = json
        var seen = Observation()
        seen.usage = response.usage
        seen.finish = response.choices.first?.finish?.rawValue
        seen.isMeaningful = true
        seen.isComplete = true
        observed = seen
    }

    func next(into out: inout ByteBuffer, by deadline: NIODeadline) async throws(ParleyError) -> Bool {
        if let json { out.writeString(json) }
        json = nil
        return false
    }

    func cancel() {}
}

extension ReasonRun {
    /// Everything that was thought and the answer, as o1-api lists it: title, content and seconds of each.
    var list: JSONValue {
        let final = ReasonLog.Section(title: "Final Answer", text: answerText, seconds: answerSeconds)
        let all = sections + [final]
        let steps = all.map { JSONValue.array([.string($0.title), .string($0.text), .seconds($0.seconds)]) }
        return ["steps": .array(steps), "total_thinking_time": .seconds(all.reduce(0) { $0 + $1.seconds })]
    }
}

extension JSONValue {
    /// Always with a point, as Python writes a float.
    fileprivate static func seconds(_ value: Double) -> JSONValue {
        .number(value.isFinite && value >= 0 ? value.description : "0.0")
    }
}
