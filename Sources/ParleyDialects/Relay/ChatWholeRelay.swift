// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

public import NIOCore
public import ParleyCore
public import ParleyWire

/// What a look at a relayed whole answer found.
public struct WholeInspection: Sendable, Equatable {
    /// Usage and finish reason; complete when the answer is one.
    public var observation: Observation
    /// Whether it is an error that came with status 200: a top-level `error`, or a `base_resp` with a status, and no
    /// choices.
    public var isError: Bool
    /// Whether it has any choice.
    public var hasChoices: Bool
}

/// Looks at a whole OpenAI chat answer that is relayed as it came.
public enum ChatWholeRelay {
    /// Reads usage, the finish reason and whether the answer is really an error.
    ///
    /// - Parameter reasoningOutsideOutput: whether the vendor counts reasoning apart from `completion_tokens`.
    /// - Throws: where the body is not one JSON object.
    public static func inspect(
        _ body: ByteBuffer, reasoningOutsideOutput: Bool = false
    ) throws(JSONError) -> WholeInspection {
        let seen = try ChatPayload(body, reasoningOutsideOutput: reasoningOutsideOutput)
        var observation = Observation()
        observation.usage = seen.usage
        observation.finish = seen.finish
        observation.isMeaningful = seen.isMeaningful
        observation.isComplete = seen.hasChoices
        return WholeInspection(observation: observation, isError: seen.isError, hasChoices: seen.hasChoices)
    }
}
