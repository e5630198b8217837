// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

public import ParleyCore

/// Keeps the account of calls.
public protocol Ledger: AnyObject, Sendable {
    /// Takes over a call that is over, as ``CallWriter`` wrote it: once for each, from the event loop it ran on. It neither
    /// blocks nor fails, and has no use for the bytes later.
    func settle(_ call: UnsafeRawBufferPointer)

    /// The last call of that id.
    ///
    /// - Throws: `internalError` where the ledger cannot be read.
    func call(_ id: String) async throws(ParleyError) -> CallRecord?

    /// The last calls that came at or after a time, newest first.
    ///
    /// - Parameters:
    ///   - since: milliseconds since 1970.
    ///   - limit: the most calls.
    ///   - key: the name of the key; nil for all.
    /// - Throws: `internalError` where the ledger cannot be read.
    func calls(since: Int64, limit: Int, key: String?) async throws(ParleyError) -> [CallRecord]

    /// How it is doing.
    var health: LedgerHealth { get }
}

extension Ledger {
    /// Takes over a call that is over.
    public func settle(_ call: SettledCall) {
        let writer = CallWriter()
        writer.write(call.makeRecord())
        settle(writer.bytes)
    }
}

/// How a ledger is doing.
public struct LedgerHealth: Sendable, Equatable {
    /// Calls whose account was lost since the start.
    public var lost = 0
    /// Calls that wait to be written.
    public var waiting = 0
    /// Why nothing can be written at the moment; nil where all is well.
    public var failure: String?

    /// All is well.
    public init() {}
}
