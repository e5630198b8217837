// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import NIOCore
import ParleyCore
import ParleyWire

extension ImportSource {
    /// The file as JSON.
    ///
    /// - Throws: what is wrong with the first wrong byte, or a name that an object has twice.
    func json() throws(LineFault) -> ImportNode {
        var reader = JSONNodes(source: self)
        return try reader.read()
    }
}

/// Turns JSON into nodes that know their lines: `JSONScan` says where each part is.
private struct JSONNodes {
    let source: ImportSource
    private var count = 0

    init(source: ImportSource) {
        self.source = source
    }

    mutating func read() throws(LineFault) -> ImportNode {
        let file = ByteBuffer(bytes: source.bytes)
        do {
            // The scan checks all of the text, deeper than we follow it.
            _ = try JSON.parse(file)
        } catch {
            throw LineFault(source.line(error.offset), "is not JSON: \(error.message)")
        }
        return try node(file, at: 0, depth: 1)
    }

    /// The value that a buffer holds, which begins at `offset` of the file.
    private mutating func node(_ text: ByteBuffer, at offset: Int, depth: Int) throws(LineFault) -> ImportNode {
        var text = text
        var offset = offset
        while let byte = text.getInteger(at: text.readerIndex, as: UInt8.self), byte <= 0x20 {
            text.moveReaderIndex(forwardBy: 1)
            offset += 1
        }
        let line = source.line(offset)
        count += 1
        guard count <= ImportSource.heaviest else {
            throw LineFault(line, "more than \(ImportSource.heaviest) values")
        }
        guard depth <= ImportSource.deepest else {
            throw LineFault(line, "nested deeper than \(ImportSource.deepest) levels")
        }
        do {
            switch text.getInteger(at: text.readerIndex, as: UInt8.self) {
            case UInt8(ascii: "{"):
                return ImportNode(content: .map(try members(text, at: offset, depth: depth)), line: line)
            case UInt8(ascii: "["):
                return ImportNode(content: .list(try elements(text, at: offset, depth: depth)), line: line)
            default:
                return try single(text, line)
            }
        } catch let error as LineFault {
            throw error
        } catch {
            throw LineFault(line, "is not JSON")
        }
    }

    private mutating func members(_ text: ByteBuffer, at offset: Int, depth: Int) throws -> [ImportMember] {
        let scan = try JSONScan(text)
        var seen: [String: Int] = [:]
        var members: [ImportMember] = []
        for member in scan.members {
            let name = scan.name(member)
            let line = source.line(offset + member.key.lowerBound)
            if let first = seen[name] {
                throw LineFault(line, "\(Diagnostic.quote(name)) is already set on line \(first)")
            }
            seen[name] = line
            let value = scan.slice(member) ?? ByteBuffer()
            members.append(
                ImportMember(
                    name: name, line: line,
                    value: try node(value, at: offset + member.value.lowerBound, depth: depth + 1)))
        }
        return members
    }

    private mutating func elements(_ text: ByteBuffer, at offset: Int, depth: Int) throws -> [ImportNode] {
        // A scan is of an object, so the list is looked at as a member of one.
        let opening = #"{"":"#
        var wrapped = ByteBuffer(string: opening)
        wrapped.writeImmutableBuffer(text)
        wrapped.writeString("}")
        let scan = try JSONScan(wrapped)
        var nodes: [ImportNode] = []
        for range in scan.elements("") ?? [] {
            let value = wrapped.getSlice(at: range.lowerBound, length: range.count) ?? ByteBuffer()
            let place = offset + range.lowerBound - opening.utf8.count
            nodes.append(try node(value, at: place, depth: depth + 1))
        }
        return nodes
    }

    private func single(_ text: ByteBuffer, _ line: Int) throws -> ImportNode {
        let written = String(buffer: text)
        let content: ImportNode.Content =
            switch try JSON.parse(text) {
            case .string(let value): .string(value)
            case .bool(let value): .bool(value)
            // Some files have numbers in a form that YAML's reader writes otherwise.
            case .number(let value): .number(YAMLScalar.number(value) ?? value)
            case .null, .array, .object: .null
            }
        return ImportNode(content: content, line: line, written: written)
    }
}
