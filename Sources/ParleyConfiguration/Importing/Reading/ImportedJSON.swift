// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

/// JSON inside of a value of another file.
enum ImportedJSON {
    /// The value of a text.
    ///
    /// - Throws: where it is not JSON, at the line of the text.
    static func read(_ text: String, line: Int, _ name: String) throws(LineFault) -> ImportNode {
        do throws(LineFault) {
            let node = try ImportSource(Array(text.utf8)).json()
            try node.checkNames()
            return node
        } catch {
            throw LineFault(line, "\(name): \(error.message)")
        }
    }
}
