// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import Dispatch
import Glibc

/// The signals that a server acts on.
final class Signals {
    enum Signal: Sendable {
        case reload
        case stop
    }

    /// The signals as they come.
    let stream: AsyncStream<Signal>

    private let sources: [any DispatchSourceSignal]

    /// Takes over SIGHUP, SIGINT and SIGTERM; a second Ctrl-C ends the process at once.
    init() {
        let (stream, continuation) = AsyncStream.makeStream(of: Signal.self)
        self.stream = stream
        let queue = DispatchQueue(label: "parley.signals")
        sources = [SIGHUP, SIGINT, SIGTERM].map { number in
            // Dispatch sees a signal that is ignored; without this it would end the process first.
            signal(number, SIG_IGN)
            let source = DispatchSource.makeSignalSource(signal: number, queue: queue)
            source.setEventHandler {
                continuation.yield(number == SIGHUP ? .reload : .stop)
                if number == SIGINT { signal(SIGINT, SIG_DFL) }
            }
            source.resume()
            return source
        }
        signal(SIGPIPE, SIG_IGN)
    }
}
