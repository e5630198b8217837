// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore

/// Runs the tasks of one event loop on that loop.
///
/// A resumed task is appended to a queue that is drained once per tick of the loop, after its I/O callbacks: no task runs
/// inside a callback, and nothing is ever re-entered.
///
/// `@unchecked Sendable`: the queue is touched only on the loop; `enqueue`, the one entry for other threads, hops there.
final class LoopExecutor: TaskExecutor, @unchecked Sendable {
    /// Jobs run before I/O gets its turn again, so that two tasks that wake each other cannot starve it.
    private static let budget = 512

    private let loop: any EventLoop
    private var queue = CircularBuffer<UnownedJob>(initialCapacity: 64)
    private var isPlanned = false

    init(_ loop: any EventLoop) {
        self.loop = loop
    }

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        if loop.inEventLoop {
            append(job)
        } else {
            loop.execute { self.append(job) }
        }
    }

    private func append(_ job: UnownedJob) {
        queue.append(job)
        guard !isPlanned else { return }
        isPlanned = true
        loop.execute { self.drain() }
    }

    private func drain() {
        var left = Self.budget
        while left > 0, let job = queue.popFirst() {
            job.runSynchronously(on: asUnownedTaskExecutor())
            left -= 1
        }
        isPlanned = !queue.isEmpty
        if isPlanned { loop.execute { self.drain() } }
    }
}
