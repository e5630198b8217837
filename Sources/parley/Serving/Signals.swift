// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import Glibc

/// The signals that a server acts on, as a stream.
enum Signals {
    enum Signal: Sendable {
        case reload
        case stop
    }

    /// Keeps the signals from ending the process, and says when one came.
    ///
    /// Must be called before other threads start: they inherit which signals are blocked, and only the thread that
    /// waits here takes them.
    static func block() -> AsyncStream<Signal> {
        var set = sigset_t()
        sigemptyset(&set)
        for number in [SIGHUP, SIGINT, SIGTERM] { sigaddset(&set, number) }
        pthread_sigmask(SIG_BLOCK, &set, nil)
        signal(SIGPIPE, SIG_IGN)
        let (stream, continuation) = AsyncStream.makeStream(of: Signal.self)
        var thread = pthread_t()
        let box = Unmanaged.passRetained(Box(set: set, continuation: continuation))
        pthread_create(&thread, nil, { argument in
            guard let argument else { return nil }
            let box = Unmanaged<Box>.fromOpaque(argument).takeUnretainedValue()
            var set = box.set
            var number: Int32 = 0
            while sigwait(&set, &number) == 0 {
                box.continuation.yield(number == SIGHUP ? .reload : .stop)
                // A second Ctrl-C ends the process at once.
                if number == SIGINT {
                    var one = sigset_t()
                    sigemptyset(&one)
                    sigaddset(&one, SIGINT)
                    pthread_sigmask(SIG_UNBLOCK, &one, nil)
                }
            }
            return nil
        }, box.toOpaque())
        return stream
    }

    private final class Box {
        let set: sigset_t
        let continuation: AsyncStream<Signal>.Continuation

        init(set: sigset_t, continuation: AsyncStream<Signal>.Continuation) {
            self.set = set
            self.continuation = continuation
        }
    }
}
