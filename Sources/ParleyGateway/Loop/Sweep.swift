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

    /// How many there are.
    var count: Int { elements.count }

    mutating func add(_ element: Element) {
        element.sweepIndex = elements.count
        elements.append(element)
    }

    mutating func remove(_ element: Element) {
        let index = element.sweepIndex
        guard index >= 0, index < elements.count, elements[index] === element else { return }
        let last = elements.removeLast()
        if last !== element {
            elements[index] = last
            last.sweepIndex = index
        }
        element.sweepIndex = -1
    }
}
