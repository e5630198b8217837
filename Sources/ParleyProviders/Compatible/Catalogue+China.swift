// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import ParleyCore
import ParleyDialects

// Facts: the vendors' SDKs and references, as the dialects' adjustments say them.
extension Catalogue {
    /// Version 4 of Zhipu's API with all its differences, for the kind `zhipu`.
    static let zhipu = with("bigmodel") {
        $0.quirks.streamOptions = false
        $0.quirks.singleChoice = true
        $0.quirks.legacyFunctions = false
        $0.quirks.droppedFields = ["logprobs", "top_logprobs", "presence_penalty", "parallel_tool_calls"]
        $0.quirks.renamedFields = ["user": "user_id"]
        // Clients of OpenAI do not know its finish reasons.
        $0.quirks.rewritesAnswers = true
    }

    /// DashScope's compatible mode, for the kind `dashscope`.
    static let dashscope = with("dashscope-compatible") { _ in }

    /// The newer API of Qianfan, for the kind `qianfan`.
    static let qianfan = with("qianfan-v2") { _ in }

    private static func with(_ id: String, _ change: (inout Vendor) -> Void) -> Vendor {
        var vendor = vendor(id) ?? Registry.anyCompatible
        change(&vendor)
        return vendor
    }
}
