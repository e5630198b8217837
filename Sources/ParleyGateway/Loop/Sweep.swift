// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore

/// Something with deadlines that its shard looks at a few times a second, in place of a timer each.
protocol Swept: AnyObject {
    /// The place in the shard's list; -1 when in none. Kept by the list.
    var sweepIndex: Int { get set }
    /// Acts on whatever is due.
    func sweep(now: NIODeadline)
}

/// The swept things of one event loop; adding and removing cost the same however many there are.
struct SweepList<Element: Swept> {
    private(set) var elements: [Element] = []
    /// When each element wants to be swept, side by side: a sweep of thousands that wait touches none of them.
    private var deadlines: [NIODeadline] = []

    /// Adds an element that wants to be swept from `deadline` on.
    mutating func add(_ element: Element, deadline: NIODeadline = .distantFuture) {
        element.sweepIndex = elements.count
        elements.append(element)
        deadlines.append(deadline)
    }

    mutating func remove(_ element: Element) {
        let index = element.sweepIndex
        guard index >= 0, index < elements.count, elements[index] === element else { return }
        let last = elements.removeLast()
        let deadline = deadlines.removeLast()
        if last !== element {
            elements[index] = last
            deadlines[index] = deadline
            last.sweepIndex = index
        }
        element.sweepIndex = -1
    }

    /// Says when an element wants to be swept next.
    mutating func setDeadline(_ deadline: NIODeadline, of element: Element) {
        let index = element.sweepIndex
        guard index >= 0, index < elements.count, elements[index] === element else { return }
        deadlines[index] = deadline
    }

    /// The elements whose deadline has passed; a list of its own, since sweeping takes elements out.
    func due(_ now: NIODeadline) -> [Element] {
        var due: [Element] = []
        for index in deadlines.indices where deadlines[index] <= now { due.append(elements[index]) }
        return due
    }
}
