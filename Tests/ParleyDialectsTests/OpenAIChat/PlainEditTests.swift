// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyDialects
import ParleyWire
import Testing

@Suite("A request is edited the same way on the short path and on the long one")
struct PlainEditTests {
    static let bodies = [
        #"{"model":"a","messages":[]}"#, #" { "messages" : [] , "model" : "a" } "#, #"{"model":null,"x":1}"#,
        #"{"messages":[]}"#, "{}", #"{"model":"a","model":"b"}"#, #"{"m\u006fdel":"a"}"#, #"{"model":"gpt \"x\""}"#,
        #"{"model":"a","stream":true}"#, #"{"model":"a","stream":false}"#, #"{"stream":null,"model":"a"}"#,
        #"{"model":"a","stream":true,"stream":false}"#,
        #"{"model":"a","stream":true,"stream_options":{"include_usage":true}}"#,
        #"{"model":"a","stream":true,"stream_options":{"include_usage": true},"n":1}"#,
        #"{"model":"a","stream":true,"stream_options":{"include_usage":false,"x":1}}"#,
        #"{"model":12}"#, #"{"model":"\u0061"}"#,
        #"{"model":"a","stream":true,"stream_options":null}"#, #"{"model":"a","stream_options":{}}"#,
    ]

    @Test("The edited request is what the edits make of it", arguments: bodies)
    func same(body: String) throws {
        var silent = Quirks()
        silent.streamOptions = false
        var choosy = Quirks()
        choosy.droppedFields = ["n"]
        for (quirks, model) in [Quirks(), silent, choosy].flatMap({ quirks in
            [#"gpt "x""#, "a", "ab", ""].map { (quirks, $0) }
        }) {
            for stream in [true, false] {
                let dialect = OpenAIChat(quirks: quirks)
                let scan = try JSONScan(ByteBuffer(string: body))
                var dropped: [String] = []
                var droppedToo: [String] = []
                let edits = try dialect.requestEdits(
                    scan: scan, model: model, stream: stream, overrides: [], dropped: &dropped)
                let edited = try dialect.edited(
                    scan: scan, model: model, stream: stream, overrides: [], dropped: &droppedToo)
                #expect(String(buffer: edited) == String(buffer: scan.applying(edits)))
                #expect(dropped == droppedToo)
            }
        }
    }

    @Test("Where the upstream's name is the one that was asked for, the request is passed on where it lies")
    func untouched() throws {
        let body = ByteBuffer(string: #"{"model":"gpt-4o","messages":[]}"#)
        func place(_ bytes: ByteBuffer) -> UnsafeRawPointer? { bytes.withUnsafeReadableBytes { $0.baseAddress } }
        var dropped: [String] = []
        let edited = try OpenAIChat().edited(
            scan: try JSONScan(body), model: "gpt-4o", stream: false, overrides: [], dropped: &dropped)
        #expect(edited == body)
        #expect(place(edited) == place(body))
    }
}
