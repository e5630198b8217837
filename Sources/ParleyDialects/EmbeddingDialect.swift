// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

public import NIOCore
public import ParleyCore
import ParleyWire

/// The shape of an embedding API on the wire, in both directions.
///
/// Errors are read and written by the `Dialect` of the same id.
public protocol EmbeddingDialect: Sendable {
    /// Which dialect's errors it has, and which clients it belongs to.
    var id: DialectID { get }

    /// The most inputs one request may have; nil where no limit is documented.
    var batchLimit: Int? { get }

    /// What this dialect cannot carry to an upstream.
    var losses: [Loss] { get }

    /// Finds out what a gateway must know before it reads a client's request: the model's name.
    ///
    /// - Throws: `invalid`, naming the byte at fault.
    func intake(_ body: ByteBuffer) throws(ParleyError) -> Intake

    /// Reads a client's request.
    ///
    /// - Throws: `invalid`, naming the field by its path.
    func decodeRequest(_ body: ByteBuffer) throws(ParleyError) -> EmbeddingRequest

    /// Writes a request for an upstream, for at most `batchLimit` inputs.
    ///
    /// - Parameter dropped: gains the names of fields that this dialect cannot carry and that do not matter.
    /// - Throws: `invalid` where something that matters cannot be carried.
    func encodeRequest(
        _ request: EmbeddingRequest, model: String, dropped: inout [String]
    ) throws(ParleyError) -> ByteBuffer

    /// Reads an upstream's answer.
    ///
    /// - Throws: the upstream's error where the answer is one; `upstreamUnavailable` where it is unreadable.
    func decodeResponse(_ body: ByteBuffer) throws(ParleyError) -> EmbeddingResponse

    /// What an answer's headers say about the tokens it took.
    func usage(of headers: HeaderBlock) -> Usage

    /// Writes an answer for a client, in the form its request asked for.
    func encodeResponse(
        _ response: EmbeddingResponse, for request: EmbeddingRequest, _ context: AnswerContext
    ) -> ByteBuffer

    /// The client's request for `model`, changed in place, for an upstream that speaks the same; nil where it must be
    /// written anew.
    func splice(_ body: ByteBuffer, model: String) throws(ParleyError) -> ByteBuffer?

    /// Looks an answer over that may be passed on as it is.
    ///
    /// - Throws: the upstream's error where the answer is one; `upstreamUnavailable` where it is unreadable.
    func inspectResponse(
        _ body: ByteBuffer, for request: EmbeddingRequest
    ) throws(ParleyError) -> EmbeddingInspection
}

/// What a look at an answer found.
public struct EmbeddingInspection: Sendable, Equatable {
    /// The tokens it took.
    public var usage: Usage
    /// Whether the vectors are in the form that was asked for; else the answer must be written anew.
    public var isAsAsked: Bool
}

extension EmbeddingDialect {
    /// No limit is documented.
    public var batchLimit: Int? { nil }

    /// `model` at the top level of a JSON object.
    public func intake(_ body: ByteBuffer) throws(ParleyError) -> Intake {
        Intake(body, try Intake.scan(body))
    }

    /// Nothing: the body says it, or nobody does.
    public func usage(of headers: HeaderBlock) -> Usage { Usage() }

    /// Requests are written anew.
    public func splice(_ body: ByteBuffer, model: String) throws(ParleyError) -> ByteBuffer? { nil }

    /// Answers are written anew.
    public func inspectResponse(
        _ body: ByteBuffer, for request: EmbeddingRequest
    ) throws(ParleyError) -> EmbeddingInspection {
        EmbeddingInspection(usage: Usage(), isAsAsked: false)
    }
}

/// What the embedding dialects have in common.
enum EmbeddingWire {
    /// The longest answer without vectors that is looked at for an error.
    private static let errorLimit = 256 << 10

    /// A client's request as an object.
    static func object(_ body: ByteBuffer) throws(ParleyError) -> JSONObject {
        do {
            if case .object(let object) = try JSON.parse(body) { return object }
        } catch {
            throw OpenAIChat.unreadable(error)
        }
        throw OpenAIChat.notAnObject
    }

    /// Reads an answer by position; `read` gives nil where it is no answer of this dialect.
    static func answer<Value>(
        _ body: ByteBuffer, _ read: (JSONText) throws(JSONError) -> Value?
    ) throws(ParleyError) -> Value {
        let found: Value?
        do throws(JSONError) {
            found = try body.withUnsafeReadableBytes { raw throws(JSONError) in try read(JSONText(raw)) }
        } catch {
            throw ParleyError(.upstreamUnavailable, "The upstream's answer is not JSON (at byte \(error.offset)).")
        }
        if let found { return found }
        if body.readableBytes <= errorLimit, let object = (try? JSON.parse(body))?.object,
            let failure = UpstreamFailure(embeddedIn: object)
        {
            throw failure.error()
        }
        throw ParleyError(.upstreamUnavailable, "The upstream's answer has no vectors.")
    }

    /// The member `name` of the object at `place`, the last one of that name; nil where there is none.
    static func member(_ name: StaticString, of place: Range<Int>, in text: JSONText) throws(JSONError) -> Range<Int>? {
        guard text.isObject(place) else { return nil }
        var found: Range<Int>?
        var members = try text.members(at: place.lowerBound)
        while let member = try members.next() {
            if member.isNamed(name, in: text) { found = member.value }
        }
        return found
    }

    /// A number of tokens: the member `name` of the object at `place`.
    static func tokens(_ name: StaticString, of place: Range<Int>?, in text: JSONText) throws(JSONError) -> Int? {
        guard let place, let value = try member(name, of: place, in: text), let count = text.int(value) else {
            return nil
        }
        return count >= 0 ? count : nil
    }

    /// The vectors of the list at `place`; nil where it is no list of vectors.
    ///
    /// - Parameter inside: the member of each element that has the vector, where the elements are objects.
    static func vectors(
        at place: Range<Int>, inside: StaticString? = nil, in text: JSONText
    ) throws(JSONError) -> [[Float]]? {
        guard var elements = text.elements(at: place.lowerBound) else { return nil }
        var vectors: [[Float]] = []
        while let element = try elements.next() {
            var value: Range<Int>? = element
            if let inside { value = try member(inside, of: element, in: text) }
            guard let value, let vector = VectorText.read(text, value) else { return nil }
            vectors.append(vector)
        }
        return vectors
    }

    /// The texts to embed, for services that take no tokens.
    static func texts(_ request: EmbeddingRequest) throws(ParleyError) -> [String] {
        var texts: [String] = []
        texts.reserveCapacity(request.inputs.count)
        for input in request.inputs {
            guard case .text(let text) = input else {
                throw ParleyError(
                    .invalid, "Invalid 'input': this model's provider takes text only, no tokens.",
                    code: "unsupported_value", parameter: "input")
            }
            texts.append(text)
        }
        return texts
    }

    /// Names what a request says and its dialect cannot, each once.
    static func drop(_ request: EmbeddingRequest, from dialect: DialectID, _ names: [String], _ dropped: inout [String])
    {
        var all = names
        if request.extras.dialect != dialect { all += request.extras.fields.members.map(\.key) }
        for name in all where !dropped.contains(name) { dropped.append(name) }
    }

    /// The vectors as a list of lists.
    static func write(_ vectors: [[Float]], into out: inout ByteBuffer) {
        out.writeStaticString("[")
        for (index, vector) in vectors.enumerated() {
            if index > 0 { out.writeStaticString(",") }
            VectorText.write(vector, into: &out)
        }
        out.writeStaticString("]")
    }

    /// A buffer with room for the vectors as numbers.
    static func buffer(for response: EmbeddingResponse) -> ByteBuffer {
        let count = response.vectors.reduce(0) { $0 + $1.count }
        return ByteBufferAllocator().buffer(capacity: 512 + count * 12)
    }
}
