// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import ParleyCore

/// The old billing paths that some clients show a balance from. Without a budget a key has the amount that stands for
/// "unlimited" in those clients, and no usage.
extension Exchange {
    private static let unlimited = 100_000_000

    /// `GET /dashboard/billing/subscription`.
    func answerSubscription() {
        answer([
            "object": "billing_subscription", "has_payment_method": true,
            "soft_limit_usd": .int(Self.unlimited), "hard_limit_usd": .int(Self.unlimited),
            "system_hard_limit_usd": .int(Self.unlimited),
            "access_until": .int(WallClock.seconds() + 365 * 86_400),
        ])
    }

    /// `GET /dashboard/billing/usage`: hundredths of a US dollar.
    func answerBillingUsage() {
        answer(["object": "list", "total_usage": 0])
    }
}
