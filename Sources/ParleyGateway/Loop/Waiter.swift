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

    init(_ loop: any EventLoop) {
        self.loop = loop
    }

    /// True while a task waits.
    var isWaiting: Bool { continuation != nil }

    /// Wakes the waiting task, if there is one.
    func signal() {
        guard let waiting = continuation else { return }
        continuation = nil
        waiting.resume()
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
        await withTaskCancellationHandler {
            await withUnsafeContinuation { (continuation: UnsafeContinuation<Void, Never>) in
                if Task.isCancelled || self.continuation != nil {
                    continuation.resume()
                } else {
                    self.continuation = continuation
                }
            }
        } onCancel: {
            if loop.inEventLoop {
                signal()
            } else {
                loop.execute { self.signal() }
            }
        }
    }
}
