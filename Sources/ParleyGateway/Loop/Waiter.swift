// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore

/// One task's wait for something to change on its event loop: the change is kept elsewhere, this is only the signal.
///
/// At most one task waits. Whoever waits checks its condition again afterwards, so that a signal too many does no harm.
///
/// `@unchecked Sendable`: used only on `loop`; the cancellation handler, which may run anywhere, hops there.
final class Waiter: @unchecked Sendable {
    private let loop: any EventLoop
    private var continuation: UnsafeContinuation<Void, Never>?
    /// Whether the task was cancelled while it waited, or before. Only a hint: a late one may come from another task's wait.
    private(set) var isCancelled = false

    init(_ loop: any EventLoop) {
        self.loop = loop
    }

    /// Wakes the waiting task, if there is one.
    func signal() {
        guard let waiting = continuation else { return }
        continuation = nil
        waiting.resume()
    }

    private func cancel() {
        isCancelled = true
        signal()
    }

    /// Waits for the next signal. For tasks that whoever cancels them signals too.
    func waitForSignal() async {
        await withUnsafeContinuation { (continuation: UnsafeContinuation<Void, Never>) in
            if self.continuation != nil {
                continuation.resume()
            } else {
                self.continuation = continuation
            }
        }
    }

    /// Waits for the next signal or for the task's cancellation.
    func wait() async {
        isCancelled = false
        await withTaskCancellationHandler {
            await withUnsafeContinuation { (continuation: UnsafeContinuation<Void, Never>) in
                // For a task that was cancelled before, the handler below has run already.
                if isCancelled || self.continuation != nil {
                    continuation.resume()
                } else {
                    self.continuation = continuation
                }
            }
        } onCancel: {
            if loop.inEventLoop {
                cancel()
            } else {
                loop.execute { self.cancel() }
            }
        }
    }
}
