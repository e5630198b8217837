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

/// A frame of a chat stream: where its object lies, where the frame ends, and whether it is worth a closer look.
struct parley_frame {
    size_t payload;
    size_t payload_end;
    size_t end;
    int is_remarkable;
};

/// Reads the frame at the start of the bytes where it is one line of `data:` with an object in it, ended by LF or CR LF;
/// else 0. It is remarkable with a usage, an error, or a finish reason where one is sought.
int parley_chat_frame(const void *start, size_t length, int seeks_finish, struct parley_frame *frame);

/// Copies the payloads of HTTP chunks one behind the other, as long as chunks are whole, plain (no extensions, CR LF) and
/// not the last. They are shorter than the bytes they come in. Returns how many bytes were written, and in `used` how many
/// were read.
size_t parley_join_chunks(const void *start, size_t length, void *target, size_t *used);

#endif
