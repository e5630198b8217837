// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import Testing

@testable import ParleyModels

@Suite struct BallotTests {
    @Test(
        "Answers that mean the same have the same key",
        arguments: [
            ("So we get 1,234.50 in all.", "1234.5"), ("The answer is 42.", "42"), ("**Answer:** 42.0", "42"),
            ("first 3\nthen $\\boxed{42}$ and more", "42"), ("\\boxed{\\frac{1}{2}}", "frac 1 2"), ("Answer: -7", "-7"),
            ("Answer: (B)", "b"), ("The answer is B) because it is", "b"), ("c", "c"), ("Option D", "d"),
            ("Answer: Paris.", "paris"), ("It is **Paris**", "it is paris"), ("Answer: 007 apples", "7"),
            ("Answer: a cat", "a cat"), ("", ""), ("x2 = 9", "9"), ("Answer: 3 to 4", "3 to 4"), ("1.000", "1"),
        ])
    func keys(text: String, key: String) {
        #expect(AnswerKey.key(of: text) == key)
    }

    @Test func `the commonest answer wins, and of those the one that says most of what they say`() throws {
        let texts = [
            "I guess. Answer: 41", "Six times seven is forty-two. Answer: 42", "Six times seven is 42. Answer: 42",
            "Hm! Answer: 42", "Answer: 40",
        ]
        let ballot = try #require(Ballot(texts))
        #expect(ballot.votes == 3)
        #expect(ballot.chosen == 1 || ballot.chosen == 2)
        #expect(Ballot([]) == nil)
    }

    @Test func `where all differ the one in the middle is taken`() throws {
        let ballot = try #require(
            Ballot(["the cat sat on a mat", "a cat sat on the red mat today", "quantum physics differs"]))
        #expect(ballot.votes == 1 && ballot.chosen != 2)
    }

    @Test(
        "A verdict names an answer",
        arguments: [
            ("Answer 2 is wrong about 1999. Best: 3", 2), ("Best: 1 (not 2)", 0), ("I prefer number 2", 1),
            ("Best: 9", nil), ("none", nil), ("**Best:** 2", 1),
        ] as [(String, Int?)])
    func verdicts(text: String, place: Int?) {
        #expect(Verdict.place(in: text, of: 3) == place)
    }
}
