// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

public import Glibc
public import NIOCore

/// A mutex with a condition, for the one thread that must sleep until there is something to do.
///
/// Safe to share: the two system objects are made for that, and their addresses never change.
public final class Monitor: @unchecked Sendable {
    @usableFromInline let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private let condition = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)

    /// A monitor that nobody holds.
    public init() {
        mutex.initialize(to: pthread_mutex_t())
        condition.initialize(to: pthread_cond_t())
        pthread_mutex_init(mutex, nil)
        var attributes = pthread_condattr_t()
        pthread_condattr_init(&attributes)
        // Waits must not grow or shrink when somebody sets the clock.
        pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
        pthread_cond_init(condition, &attributes)
        pthread_condattr_destroy(&attributes)
    }

    deinit {
        pthread_cond_destroy(condition)
        pthread_mutex_destroy(mutex)
        condition.deallocate()
        mutex.deallocate()
    }

    /// Runs `body` alone.
    @inlinable
    public func with<Result>(_ body: () throws -> Result) rethrows -> Result {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        return try body()
    }

    /// Wakes all that wait. Called within `with`.
    public func wake() { pthread_cond_broadcast(condition) }

    /// Gives the mutex up until somebody wakes, or for no reason. Called within `with`.
    public func wait() { pthread_cond_wait(condition, mutex) }

    /// Like `wait`, but not longer than `limit`.
    public func wait(atMost limit: TimeAmount) {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        let nanoseconds = Int64(time.tv_nsec) + max(0, limit.nanoseconds) % 1_000_000_000
        time.tv_sec += Int(max(0, limit.nanoseconds) / 1_000_000_000 + nanoseconds / 1_000_000_000)
        time.tv_nsec = Int(nanoseconds % 1_000_000_000)
        pthread_cond_timedwait(condition, mutex, &time)
    }
}
