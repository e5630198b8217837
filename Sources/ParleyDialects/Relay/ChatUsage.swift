// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyWire

extension Usage {
    /// Reads a `usage` object of OpenAI's chat API, vendors' additions included.
    ///
    /// Cached tokens are in `prompt_tokens_details` (OpenAI), `cached_tokens` (Moonshot) or `prompt_cache_hit_tokens`
    /// (DeepSeek). Where the total says that reasoning came on top of `completion_tokens` (xAI), it is counted in, as
    /// everybody else does.
    /// - Parameter reasoningOutsideOutput: whether what a total has over the sum is reasoning even if that is not said.
    init(chat text: JSONText, at start: Int, reasoningOutsideOutput: Bool) throws(JSONError) {
        self.init()
        var seen = Counts()
        var members = try text.members(at: start)
        while let member = try members.next() { seen.note(member, in: text) }
        input = seen.prompt ?? seen.input
        output = seen.completion ?? seen.output
        cacheRead = seen.cached ?? seen.cacheHit
        reasoning = seen.reasoning
        if let place = seen.promptDetails ?? seen.inputDetails {
            let details = try Details(text, at: place)
            cacheRead = details.cached ?? cacheRead
            cacheWrite = details.cacheWrite
            inputAudio = details.audio
        }
        if let place = seen.completionDetails ?? seen.outputDetails {
            let details = try Details(text, at: place)
            reasoning = details.reasoning ?? reasoning
            outputAudio = details.audio
            acceptedPrediction = details.accepted
            rejectedPrediction = details.rejected
        }
        guard input != nil || output != nil, let stated = seen.total else { return }
        // Both are at least zero, so the difference fits.
        let missing = stated - min(stated, total)
        if missing > 0, missing == reasoning || reasoningOutsideOutput && missing >= reasoning ?? 0 {
            let apart = reasoning ?? missing
            reasoning = apart
            output = (output ?? 0).clampedSum(apart)
        }
        if stated != total { statedTotal = stated }
    }

    /// What a `usage` object says under each name; the last one of a name counts.
    private struct Counts {
        var prompt: Int?
        var input: Int?
        var completion: Int?
        var output: Int?
        var total: Int?
        var cached: Int?
        var cacheHit: Int?
        var reasoning: Int?
        var promptDetails: Int?
        var inputDetails: Int?
        var completionDetails: Int?
        var outputDetails: Int?

        @inline(__always)
        mutating func note(_ member: JSONMember, in text: JSONText) {
            if member.isNamed("prompt_tokens", in: text) {
                prompt = text.tokens(member)
            } else if member.isNamed("completion_tokens", in: text) {
                completion = text.tokens(member)
            } else if member.isNamed("total_tokens", in: text) {
                total = text.tokens(member)
            } else if member.isNamed("prompt_tokens_details", in: text) {
                promptDetails = text.place(member)
            } else if member.isNamed("completion_tokens_details", in: text) {
                completionDetails = text.place(member)
            } else {
                noteRare(member, in: text)
            }
        }

        private mutating func noteRare(_ member: JSONMember, in text: JSONText) {
            if member.isNamed("input_tokens", in: text) {
                input = text.tokens(member)
            } else if member.isNamed("output_tokens", in: text) {
                output = text.tokens(member)
            } else if member.isNamed("cached_tokens", in: text) {
                cached = text.tokens(member)
            } else if member.isNamed("prompt_cache_hit_tokens", in: text) {
                cacheHit = text.tokens(member)
            } else if member.isNamed("reasoning_tokens", in: text) {
                reasoning = text.tokens(member)
            } else if member.isNamed("input_tokens_details", in: text) {
                inputDetails = text.place(member)
            } else if member.isNamed("output_tokens_details", in: text) {
                outputDetails = text.place(member)
            }
        }
    }

    /// What the details of prompt or completion tokens say.
    private struct Details {
        var cached: Int?
        var cacheWrite: Int?
        var audio: Int?
        var reasoning: Int?
        var accepted: Int?
        var rejected: Int?

        init(_ text: JSONText, at start: Int) throws(JSONError) {
            var members = try text.members(at: start)
            while let member = try members.next() {
                if member.isNamed("cached_tokens", in: text) {
                    cached = text.tokens(member)
                } else if member.isNamed("audio_tokens", in: text) {
                    audio = text.tokens(member)
                } else if member.isNamed("reasoning_tokens", in: text) {
                    reasoning = text.tokens(member)
                } else if member.isNamed("cache_write_tokens", in: text) {
                    cacheWrite = text.tokens(member)
                } else if member.isNamed("accepted_prediction_tokens", in: text) {
                    accepted = text.tokens(member)
                } else if member.isNamed("rejected_prediction_tokens", in: text) {
                    rejected = text.tokens(member)
                }
            }
        }
    }
}

extension JSONText {
    /// A count of tokens; a negative one is none.
    fileprivate func tokens(_ member: JSONMember) -> Int? {
        guard let count = int(member.value), count >= 0 else { return nil }
        return count
    }

    /// Where the member's object begins; nil where it is none.
    fileprivate func place(_ member: JSONMember) -> Int? {
        isObject(member.value) ? member.value.lowerBound : nil
    }
}
