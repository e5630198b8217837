// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import Hummingbird
import Logging
import NIOCore

/// What goes with a request of the control plane.
struct ConsoleContext: RequestContext {
    var coreContext: CoreRequestContextStorage
    /// The address at the other end of the connection; nil on a socket.
    let remote: String?
    /// Who asks, as far as it matters for guesses; set by `Safety`.
    var peer = ""
    /// The address that the visitor's browser knows: scheme and host; nil where the host is no host's name.
    var origin: String?
    /// Whether the visitor's connection is encrypted.
    var isSecure = false
    /// Who was let in; set by `Admission`.
    var visitor: Visitor?

    init(source: ApplicationRequestContextSource) {
        coreContext = .init(source: source)
        remote = source.channel.remoteAddress?.ipAddress
    }
}

/// Somebody who has shown the admin key.
enum Visitor: Sendable, Equatable {
    /// A program that sends the key with every request.
    case tool
    /// A browser that has signed in.
    case browser(AdminSession)
}
