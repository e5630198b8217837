// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

import CFuzzer
import Glibc

// `parley-fuzz TARGET [libFuzzer's options]`; `parley-fuzz list` names the targets.
guard CommandLine.arguments.count > 1, CommandLine.arguments[1] != "list" else {
    for target in FuzzTarget.all { print(target.name) }
    exit(0)
}
guard let chosen = FuzzTarget.all.first(where: { $0.name == CommandLine.arguments[1] }) else {
    print("no such target: \(CommandLine.arguments[1])")
    exit(2)
}
FuzzTarget.current = chosen

// libFuzzer must not take the target's name for a folder of inputs.
var rest = [strdup(CommandLine.arguments[0])] + CommandLine.arguments.dropFirst(2).map { strdup($0) } + [nil]
var count = CInt(rest.count - 1)
let code = rest.withUnsafeMutableBufferPointer { arguments -> CInt in
    var start = arguments.baseAddress
    return LLVMFuzzerRunDriver(&count, &start) { data, size in
        FuzzTarget.current?.run(UnsafeRawBufferPointer(start: data, count: size))
        return 0
    }
}
exit(code)
