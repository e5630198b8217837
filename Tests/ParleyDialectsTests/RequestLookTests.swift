// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyDialects
import Testing

@Suite struct RequestLookTests {
    @Test(
        "The end user is found without decoding",
        arguments: [
            (#"{"user": "u-1"}"#, DialectID.openAIChat, "u-1"), (#"{"messages": [{"user": "no"}]}"#, .openAIChat, nil),
            (#"{"metadata": {"user_id": "u-2"}, "user": "no"}"#, .anthropic, "u-2"),
            (#"{"metadata": 7}"#, .anthropic, nil),
            (#"{"user": 7}"#, .openAIResponses, nil), ("no JSON", .openAIChat, nil),
        ] as [(String, DialectID, String?)])
    func user(body: String, dialect: DialectID, user: String?) {
        #expect(RequestLook.user(in: ByteBuffer(string: body), reading: nil, dialect: dialect) == user)
    }

    @Test("What binds a request to its origin is found, the latest first")
    func binding() throws {
        let plain = ByteBuffer(string: #"{"messages": [{"role": "user", "content": "my signature is mine"}]}"#)
        #expect(!RequestLook.mayBeBound(plain))
        let signed = ByteBuffer(
            string: """
                {"max_tokens": 1, "messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": [
                {"type": "thinking", "thinking": "hm", "signature": "c2ln"}, {"type": "text", "text": "x"}]}]}
                """)
        #expect(RequestLook.mayBeBound(signed))
        #expect(try Anthropic().decodeRequest(signed).binding == .anthropic)
        var request = ChatRequest(model: "", messages: [Message(.user, text: "hi"), Message(.assistant, text: "x")])
        #expect(request.binding == nil)
        request.messages[1].reasoning = [Reasoning("readable", origin: .anthropic)]
        #expect(request.binding == nil)
        request.messages[1].reasoning = [Reasoning("", signature: "s", origin: .openAIResponses)]
        #expect(request.binding == .openAIResponses)
    }
}
