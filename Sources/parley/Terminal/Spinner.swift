// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import Synchronization

/// A turning mark on standard error, with the seconds waited, while nothing has been answered yet.
final class Spinner: Sendable {
    private enum State {
        case idle, drawn, stopped
    }

    private let output: Output
    private let state = Mutex(State.idle)

    init(_ output: Output) {
        self.output = output
    }

    /// Turns until `stop` is called or the task is cancelled; at once over where no terminal is.
    func run() async {
        guard output.hasStyle else { return }
        let frames = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"]
        let start = ContinuousClock.now
        var index = 0
        while !Task.isCancelled {
            let seconds = (ContinuousClock.now - start).components.seconds
            let text = frames[index % frames.count] + (seconds > 0 ? " \(seconds) s" : "")
            // Drawn under the lock, so that nothing appears after `stop` has returned.
            let isRunning = state.withLock { state in
                guard state != .stopped else { return false }
                output.write("\r" + output.dim(text) + "\u{1B}[K")
                state = .drawn
                return true
            }
            guard isRunning else { return }
            index += 1
            try? await Task.sleep(for: .milliseconds(80))
        }
        stop()
    }

    /// Takes the mark away. Calling it again does nothing.
    func stop() {
        state.withLock { state in
            if state == .drawn { output.write("\r\u{1B}[K") }
            state = .stopped
        }
    }
}
