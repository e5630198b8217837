// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

public import NIOCore
public import ParleyCore

/// The way to a service that takes more than one HTTP request per answer: a socket, a process, several requests.
///
/// The face's dialect writes the request's body and reads the bytes of the answer, as with any other service; an opener
/// does what is between them. What comes as messages is given on as lines of JSON.
public protocol AnswerOpener: AnyObject, Sendable {
    /// Begins an answer.
    ///
    /// An answer with a status other than 2xx is a refusal, which the dialect reads. Cancelling the task, or the answer,
    /// closes whatever is open.
    /// - Throws: what went wrong before there was an answer.
    func open(_ request: OpenerRequest) async throws(ParleyError) -> any UpstreamAnswer
}

/// What an opener is asked for.
public struct OpenerRequest: Sendable {
    /// Where the face says requests go.
    public var target: Target
    /// The model as the provider calls it.
    public var model: String
    /// The request as the face's dialect wrote it.
    public var body: ByteBuffer
    /// The key to use, of the provider's `credentials`.
    public var credential: Credential
    /// Whether the client asked for a stream.
    public var stream: Bool
    /// The call's id, as in `x-request-id`.
    public var callID: String
    /// Who calls: the name of the client's key. What one caller said is never shown to another.
    public var caller: String
    /// Until a connection stands.
    public var connectTimeout: TimeAmount
    /// When the first meaningful event must be there.
    public var first: NIODeadline
    /// When everything must be over.
    public var total: NIODeadline
    /// The way to other places, on the event loop of the call.
    public var connector: any Connector
}
