// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyAccess
import ParleyCore
import Testing

@Suite struct KeyTableTests {
    private let laptop = KeyRecord(name: "laptop", digest: KeyDigest(of: "sk-laptop"), models: ["fast"])
    private let old = KeyRecord(name: "old", digest: KeyDigest(of: "sk-old"), expires: 1000)

    @Test("A secret finds its key, in text and in bytes; anything else finds nobody")
    func lookup() {
        let table = KeyTable([laptop, old])
        #expect(table.identify("sk-laptop") == .known(laptop))
        #expect(table.identify(ByteBuffer(string: "sk-laptop").readableBytesView) == .known(laptop))
        for wrong in ["", "sk-lapto", "sk-laptop ", "SK-LAPTOP", laptop.digest.hex, "\0"] {
            #expect(table.identify(wrong) == .unknown)
        }
        #expect(table.identify(ByteBuffer().readableBytesView) == .unknown)
        #expect(KeyTable([]).identify("sk-laptop") == .unknown)
    }

    @Test("A key works until the second in which it expires", arguments: [(999, true), (1000, false), (.max, false)])
    func expiry(now: Int64, works: Bool) {
        #expect(KeyTable([laptop, old]).identify("sk-old", now: now) == (works ? .known(old) : .expired(old)))
    }

    @Test("The clock of the process is used where no time is given")
    func clock() {
        #expect(KeyTable([old]).identify("sk-old") == .expired(old))
        #expect(KeyTable.now() > 1_700_000_000)
    }

    @Test("Of two keys with one secret the first counts, and the other is told")
    func duplicates() {
        let copy = KeyRecord(name: "copy", digest: laptop.digest)
        let table = KeyTable([laptop, old, copy])
        #expect(table.identify("sk-laptop") == .known(laptop))
        #expect(table.records.map(\.name) == ["laptop", "old"])
        #expect(table.shadowed.map(\.name) == ["copy"])
        #expect(table.shadowed.map(\.by) == ["laptop"])
    }

    @Test("An empty secret opens nothing, even if configured")
    func empty() {
        #expect(KeyTable([KeyRecord(name: "unset", digest: KeyDigest(of: ""))]).identify("") == .unknown)
    }

    @Test("A digest is SHA-256 and reads back from hexadecimal of either case")
    func digests() {
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        #expect(KeyDigest(of: "abc").hex == abc)
        #expect(KeyDigest(hex: abc) == KeyDigest(of: "abc"))
        #expect(KeyDigest(hex: abc.uppercased()) == KeyDigest(of: "abc"))
        #expect(KeyDigest(hex: abc) != KeyDigest(of: "abd"))
        for wrong in [
            "", "ba78", abc + "0", abc + "00", String(abc.dropLast()), String(abc.dropLast()) + "g", " " + abc,
        ] {
            #expect(KeyDigest(hex: wrong) == nil)
        }
    }

    @Test("Digests that differ in any one word are different", arguments: [0, 16, 32, 48, 63])
    func words(position: Int) {
        var digits = [Character](repeating: "0", count: 64)
        let zero = KeyDigest(hex: String(digits))
        digits[position] = "1"
        #expect(KeyDigest(hex: String(digits)) != nil)
        #expect(KeyDigest(hex: String(digits)) != zero)
    }

    @Test("Generated secrets have their shape, differ, and do not show themselves")
    func secrets() {
        let secrets = (0..<100).map { _ in KeySecret.generate() }
        #expect(Set(secrets.map(\.text)).count == 100)
        for secret in secrets {
            #expect(secret.text.utf8.count == 53)
            #expect(KeySecret(secret.text) == secret)
            var dumped = ""
            dump(secret, to: &dumped)
            for shown in ["\(secret)", String(reflecting: secret), String(describing: Optional(secret)), dumped] {
                #expect(!shown.contains(secret.text.suffix(43)))
            }
        }
        #expect("\(KeyDigest(of: "abc"))" == "KeyDigest")
    }

    @Test("Only the shape of a generated secret is taken for one")
    func shapes() {
        let letters = String(repeating: "a", count: 43)
        #expect(KeySecret("sk-parley-" + letters) != nil)
        for wrong in [
            "", letters, "sk-parley-", "sk-parley-a" + letters, "sk-other--" + letters,
            "sk-parley-" + letters.dropLast(), "sk-parley-" + letters.dropLast() + "-",
            "sk-parley-" + letters.dropLast() + "é",
        ] {
            #expect(KeySecret(wrong) == nil)
        }
    }
}
