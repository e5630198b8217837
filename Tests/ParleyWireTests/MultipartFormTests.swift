// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import Testing

@testable import ParleyWire

@Suite("Forms")
struct MultipartFormTests {
    private static let type = "multipart/form-data; boundary=XX"

    private static func part(_ disposition: String, _ value: String, end: String = "\r\n") -> String {
        ["--XX", "Content-Disposition: form-data; \(disposition)", "", value].joined(separator: end) + end
    }

    private static func read(_ body: String, by size: Int = .max, type: String = type) throws -> MultipartForm {
        var form = try #require(MultipartForm(contentType: type))
        var rest = ByteBuffer(string: body)
        while let piece = rest.readSlice(length: min(size, rest.readableBytes)), piece.readableBytes > 0 {
            try form.read(piece)
        }
        return form
    }

    @Test("The model is found wherever it is, however the bytes are cut", arguments: [Int.max, 1, 2, 3, 7])
    func finds(size: Int) throws {
        let body =
            Self.part("name=\"file\"; filename=\"model\"", "\r\n--X\n--XY model\r\n")
            + Self.part("name=\"model\"", "whisper-1") + Self.part("name=n", "1") + "--XX--\r\n"
        let form = try Self.read(body, by: size)
        #expect(form.models.map(\.value) == ["whisper-1"])
        #expect(form.isDone)
        let place = try #require(form.models.first?.place)
        #expect(Array(body.utf8)[place].elementsEqual("whisper-1".utf8))
        let renamed = form.naming("longer-name", in: ByteBuffer(string: body))
        #expect(String(buffer: renamed) == body.replacing("whisper-1", with: "longer-name"))
    }

    @Test(
        "Every way to write the name is understood",
        arguments: [
            "name=\"model\"", "name=model", "NAME=model", "name = \"model\"; x=y", "x=\"a;name=b\"; name=\"model\"",
            "name=\"mo\\del\"", "name*=UTF-8''model", "name=\"model\"\u{301}",
        ])
    func names(disposition: String) throws {
        #expect(try Self.read(Self.part(disposition, "m") + "--XX--").models.map(\.value) == ["m"])
    }

    @Test(
        "What is not the model is not taken for it",
        arguments: ["name=\"models\"", "filename=model", "x=model; name=y"])
    func others(disposition: String) throws {
        #expect(try Self.read(Self.part(disposition, "m") + "--XX--").models.isEmpty)
    }

    @Test("Lenient line ends and folded heads hide nothing")
    func lenient() throws {
        #expect(try Self.read(Self.part("name=model", "m", end: "\n") + "--XX--").models.map(\.value) == ["m"])
        let folded = "--XX\r\nContent-Disposition: form-data;\r\n name=\"model\"\r\n\r\nm\r\n--XX--"
        #expect(try Self.read(folded).models.map(\.value) == ["m"])
        #expect(try Self.read("preamble\r\n" + folded).models.count == 1)
    }

    @Test("A second model is seen, and both are renamed")
    func twice() throws {
        let body = Self.part("name=model", "a") + Self.part("name=model", "b") + "--XX--"
        let form = try Self.read(body)
        #expect(form.models.map(\.value) == ["a", "b"])
        let renamed = try Self.read(String(buffer: form.naming("c", in: ByteBuffer(string: body))))
        #expect(renamed.models.map(\.value) == ["c", "c"])
    }

    @Test("A form without a model gets one in front")
    func without() throws {
        let body = Self.part("name=file", "x") + "--XX--"
        let form = try Self.read(body)
        let named = String(buffer: form.naming("m", in: ByteBuffer(string: body)))
        #expect(named.hasSuffix(body))
        #expect(try Self.read(named).models.map(\.value) == ["m"])
    }

    @Test(
        "Content types that are no form's are none",
        arguments: [
            "multipart/form-data", "application/json; boundary=x", "multipart/form-data; boundary=", "",
            "multipart/form-data; boundary=XX; boundary=YY", "multipart/form-data; boundary=XX\u{301}",
        ])
    func otherTypes(type: String) {
        #expect(MultipartForm(contentType: type) == nil)
    }

    @Test("Quoted boundaries are read")
    func quoted() throws {
        let form = try Self.read(
            Self.part("name=model", "m") + "--XX--", type: "Multipart/Form-Data; charset=x; Boundary=\"XX\"")
        #expect(form.models.count == 1)
    }

    @Test("Names and heads without an end are refused, large files are not held")
    func limits() throws {
        let long = String(repeating: "x", count: 20_000)
        #expect(throws: ParleyError.self) { try Self.read(Self.part("name=model", long) + "--XX--") }
        #expect(throws: ParleyError.self) { try Self.read("--XX\r\n" + long) }
        #expect(try Self.read(Self.part("name=file", long) + "--XX--", by: 1_000).isDone)
    }
}
