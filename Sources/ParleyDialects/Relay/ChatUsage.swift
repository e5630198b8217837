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
    init(chat usage: JSONScan, reasoningOutsideOutput: Bool) {
        self.init()
        let prompt = usage.object("prompt_tokens_details") ?? usage.object("input_tokens_details")
        let completion = usage.object("completion_tokens_details") ?? usage.object("output_tokens_details")
        input = usage.tokens("prompt_tokens") ?? usage.tokens("input_tokens")
        cacheRead =
            prompt?.tokens("cached_tokens") ?? usage.tokens("cached_tokens") ?? usage.tokens("prompt_cache_hit_tokens")
        cacheWrite = prompt?.tokens("cache_write_tokens")
        inputAudio = prompt?.tokens("audio_tokens")
        output = usage.tokens("completion_tokens") ?? usage.tokens("output_tokens")
        reasoning = completion?.tokens("reasoning_tokens") ?? usage.tokens("reasoning_tokens")
        outputAudio = completion?.tokens("audio_tokens")
        acceptedPrediction = completion?.tokens("accepted_prediction_tokens")
        rejectedPrediction = completion?.tokens("rejected_prediction_tokens")
        guard input != nil || output != nil, let stated = usage.tokens("total_tokens") else { return }
        // Both are at least zero, so the difference fits.
        let missing = stated - min(stated, total)
        if missing > 0, missing == reasoning || reasoningOutsideOutput && missing >= reasoning ?? 0 {
            let apart = reasoning ?? missing
            reasoning = apart
            output = (output ?? 0).clampedSum(apart)
        }
        if stated != total { statedTotal = stated }
    }
}

extension JSONScan {
    /// A count of tokens; a negative one is none.
    fileprivate func tokens(_ name: String) -> Int? {
        guard let count = int(name), count >= 0 else { return nil }
        return count
    }
}
