// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import CParleyMemory
import Glibc

/// What the system grants a process that serves thousands of streams, beyond what it grants a command in a terminal.
enum ProcessLimits {
    /// Raises what can be raised without asking; to be called before the first connection.
    static func raise() {
        raiseFileLimit()
        keepMemory()
    }

    /// An open stream takes two descriptors, and many systems begin with 1024.
    private static func raiseFileLimit() {
        var limit = rlimit()
        let files = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
        guard getrlimit(files, &limit) == 0, limit.rlim_cur < limit.rlim_max else { return }
        limit.rlim_cur = limit.rlim_max
        _ = setrlimit(files, &limit)
    }

    /// Keeps freed memory for the next answer, up to some megabytes a thread.
    ///
    /// By its default glibc hands 128 KB back to the system as soon as they are free, so that every burst of a stream
    /// takes them again, page by page: a fifth of a stream's CPU time.
    private static func keepMemory() {
        parley_keep_memory(8 << 20, 1 << 20)
    }
}
