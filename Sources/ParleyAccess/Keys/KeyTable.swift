// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import Glibc
public import NIOCore

/// The keys of one configuration, found by the secret that a client shows.
///
/// A secret is hashed and its digest looked up, so the time taken depends only on the length of what was shown: an
/// unknown key costs what a known one costs, and no comparison ends early.
public struct KeyTable: Sendable {
    /// Who a secret belongs to.
    public enum Identity: Sendable, Equatable {
        /// A key that works.
        case known(KeyRecord)
        /// A key that worked once.
        case expired(KeyRecord)
        /// Nobody.
        case unknown
    }

    /// The keys, in the order given, without those whose secret an earlier one has.
    public let records: [KeyRecord]
    /// Names of keys that have the same secret as an earlier one and so can never be found, with the earlier name.
    public let shadowed: [(name: String, by: String)]

    private let indices: [KeyDigest: Int]
    private let emptyDigest = KeyDigest(of: "")
    private let dummy: KeyRecord

    /// A table of the given keys.
    public init(_ records: [KeyRecord]) {
        var kept: [KeyRecord] = []
        var indices: [KeyDigest: Int] = [:]
        var shadowed: [(name: String, by: String)] = []
        for record in records {
            if let earlier = indices[record.digest] {
                shadowed.append((record.name, kept[earlier].name))
            } else {
                indices[record.digest] = kept.count
                kept.append(record)
            }
        }
        self.records = kept
        self.shadowed = shadowed
        self.indices = indices
        dummy = KeyRecord(name: "", digest: KeyDigest(of: KeySecret.generate().text))
    }

    /// Says whose secret these bytes are, at `now` in seconds since 1970.
    public func identify(_ secret: UnsafeRawBufferPointer, now: Int64 = Self.now()) -> Identity {
        let digest = KeyDigest(of: secret)
        let index = indices[digest]
        let candidate = index.map { records[$0] } ?? dummy
        // An empty secret, as an unset variable in a configuration makes it, opens nothing.
        let isKnown = (candidate.digest == digest) && (index != nil) && (digest != emptyDigest)
        guard isKnown else { return .unknown }
        return candidate.isExpired(at: now) ? .expired(candidate) : .known(candidate)
    }

    /// Says whose secret these bytes are, at `now` in seconds since 1970.
    public func identify(_ secret: ByteBufferView, now: Int64 = Self.now()) -> Identity {
        secret.withUnsafeBytes { identify($0, now: now) }
    }

    /// Says whose secret this text is, at `now` in seconds since 1970.
    public func identify(_ secret: String, now: Int64 = Self.now()) -> Identity {
        var secret = secret
        return secret.withUTF8 { identify(UnsafeRawBufferPointer($0), now: now) }
    }

    /// The time in seconds since 1970.
    public static func now() -> Int64 {
        Int64(time(nil))
    }
}
