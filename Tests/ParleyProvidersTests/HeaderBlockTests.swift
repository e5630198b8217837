// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import Testing

@testable import ParleyProviders

@Suite("Header lines are read where they stand")
struct HeaderBlockTests {
    private let block = HeaderBlock(
        ByteBuffer(
            string: "Content-Type:\t text/plain \r\nno colon\r\n: no name\nX-Request-ID: r1\r\n"
                + "X-RateLimit-Left:5\nempty:\r\nx-request-id: r2\nRetry-After: 3"))

    @Test("The first of a name is found, in any case, trimmed")
    func first() {
        #expect(block.first("content-type") == "text/plain")
        #expect(block.first("x-request-id") == "r1")
        #expect(block.first("empty") == "")
        #expect(block.first("retry-after") == "3")
        #expect(block.first("no colon") == nil)
        #expect(block.first("") == nil)
        #expect(block.first("content") == nil)
        #expect(HeaderBlock().first("a") == nil)
    }

    @Test("Only what a client wants to see is passed on, the upstream's id under its own name")
    func passedOn() {
        #expect(
            block.passedOn == [
                HeaderField("x-upstream-request-id", "r1"), HeaderField("x-ratelimit-left", "5"),
                HeaderField("x-upstream-request-id", "r2"), HeaderField("retry-after", "3"),
            ])
    }
}
