// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

#ifndef C_PARLEY_BYTES_H
#define C_PARLEY_BYTES_H

#include <stddef.h>

/// The offset of `needle` in `haystack`, or -1. glibc's memmem is vectorised but hidden from Swift's Glibc module.
ptrdiff_t parley_find(const void *haystack, size_t haystack_length, const void *needle, size_t needle_length);

/// The same for a word of a few bytes that is rare in the text, without the table that memmem makes first.
ptrdiff_t parley_find_word(const void *start, size_t length, const void *word, size_t word_length);

/// The offset of the last `byte` in `haystack`, or -1 (memrchr, hidden likewise).
ptrdiff_t parley_find_last(const void *haystack, size_t haystack_length, int byte);

/// How many bytes from the start may stand in a JSON string as they are and are ASCII: stops at a quote, a backslash,
/// a control character or a byte over 0x7F.
size_t parley_plain_run(const void *bytes, size_t length);

/// How many bytes from the start need no escape in a JSON string: stops at a quote, a backslash or a control
/// character, not at bytes over 0x7F.
size_t parley_unescaped_run(const void *bytes, size_t length);

/// How many bytes from the start may stand in the value of an HTTP header: stops at a control character but a tab.
size_t parley_field_run(const void *bytes, size_t length);

/// The offset of the first line feed or carriage return, or `length`.
size_t parley_line_run(const void *bytes, size_t length);

/// The offset of the first byte that matters to the tap on a chat stream, or `length`: a line feed, a carriage return,
/// or a quote followed by `e`, `f` or `u` (the keys `error`, `finish_reason` and `usage`).
size_t parley_mark_run(const void *bytes, size_t length);

#endif
