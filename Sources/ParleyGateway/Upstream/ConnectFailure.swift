// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import NIOPosix
import NIOSSL
import ParleyCore

/// Why a connection could not be made, in words that a person can act on.
enum ConnectFailure {
    /// The failure of connecting to `endpoint` as an error for the caller.
    static func error(_ cause: any Error, to endpoint: Endpoint) -> ParleyError {
        let host = "\(endpoint.host):\(endpoint.port)"
        let place =
            endpoint.socketPath ?? endpoint.proxy.map { "\(host) through the proxy \($0.host):\($0.port)" } ?? host
        if let cause = cause as? ParleyError { return cause }
        if isTimeout(cause) {
            return ParleyError(.timeout, "Connecting to \(place) took longer than the time allowed.")
        }
        return ParleyError(.upstreamUnavailable, "Could not connect to \(place): \(name(cause)).")
    }

    /// A short name for an I/O failure; never holds what was sent or received.
    static func name(_ cause: any Error) -> String {
        switch cause {
        case let error as NIOConnectionError:
            if let single = error.connectionErrors.first { return name(single.error) }
            return error.dnsAAAAError != nil || error.dnsAError != nil ? "the host name is unknown" : "no address"
        case let error as IOError:
            switch error.errnoCode {
            case ECONNREFUSED: return "connection refused"
            case ECONNRESET: return "connection reset"
            case EHOSTUNREACH, ENETUNREACH: return "no route to the host"
            case EPIPE: return "connection closed"
            case EMFILE, ENFILE: return "too many open files"
            case ENOENT: return "there is no such socket"
            default: return "system error \(error.errnoCode)"
            }
        case let error as NIOSSLError:
            switch error {
            case .handshakeFailed: return "the TLS handshake failed; is the certificate trusted?"
            case .unableToValidateCertificate: return "the certificate does not fit the host"
            default: return "TLS error"
            }
        case is SocketAddressError: return "the host name is unknown"
        default: return isTimeout(cause) ? "timed out" : "\(type(of: cause))"
        }
    }

    private static func isTimeout(_ cause: any Error) -> Bool {
        switch cause {
        case let error as ChannelError:
            if case .connectTimeout = error { return true }
            return false
        case let error as NIOConnectionError:
            guard let first = error.connectionErrors.first else { return false }
            return isTimeout(first.error)
        case let error as IOError: return error.errnoCode == ETIMEDOUT
        default: return false
        }
    }
}
