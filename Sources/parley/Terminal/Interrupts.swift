// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import Dispatch
import Glibc
import Synchronization

/// Ctrl-C as something to wait for, and terminals left as they were found when the process is told to end.
final class Interrupts: Sendable {
    private struct State {
        var continuation: CheckedContinuation<Void, Never>?
        var idlePresses = 0
    }

    private let state = Mutex(State())
    private let sources = Mutex<[any DispatchSourceSignal]>([])

    /// Takes over SIGINT, SIGTERM and SIGHUP.
    ///
    /// - Parameter restore: undoes what was done to the terminal, before the process ends by a signal.
    init(restore: @escaping @Sendable () -> Void) {
        sources.withLock { sources in
            sources = Self.sources { [weak self] number in
                if number == SIGINT, let self, !self.isLast() { return }
                restore()
                signal(number, SIG_DFL)
                kill(getpid(), number)
            }
        }
    }

    private static func sources(
        _ handle: @escaping @Sendable (CInt) -> Void
    ) -> sending [any DispatchSourceSignal] {
        [SIGINT, SIGTERM, SIGHUP].map { number in
            signal(number, SIG_IGN)
            let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
            source.setEventHandler { handle(number) }
            source.resume()
            return source
        }
    }

    /// Returns at the next Ctrl-C, or when the task is cancelled.
    func next() async {
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let isOver = state.withLock { state in
                    state.idlePresses = 0
                    if Task.isCancelled { return true }
                    state.continuation = continuation
                    return false
                }
                if isOver { continuation.resume() }
            }
        } onCancel: {
            resume()
        }
    }

    /// Wakes who waits; without anybody waiting, the second Ctrl-C in a row is the last.
    private func isLast() -> Bool {
        if resume() { return false }
        return state.withLock { state in
            state.idlePresses += 1
            return state.idlePresses > 1
        }
    }

    @discardableResult
    private func resume() -> Bool {
        let waiting = state.withLock { state in
            let waiting = state.continuation
            state.continuation = nil
            return waiting
        }
        waiting?.resume()
        return waiting != nil
    }
}
