// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

#define _GNU_SOURCE
#include "CParleyBytes.h"

#include <stdint.h>
#include <string.h>

ptrdiff_t parley_find(const void *haystack, size_t haystack_length, const void *needle, size_t needle_length) {
    const char *found = memmem(haystack, haystack_length, needle, needle_length);
    return found ? found - (const char *)haystack : -1;
}

ptrdiff_t parley_find_last(const void *haystack, size_t haystack_length, int byte) {
    const char *found = memrchr(haystack, byte, haystack_length);
    return found ? found - (const char *)haystack : -1;
}

// Sixteen bytes at a time in the compiler's vector notation, so that x86-64 and AArch64 share one source. A comparison
// gives 0xFF in each lane that matches.
typedef uint8_t block __attribute__((vector_size(16)));
typedef int8_t signed_block __attribute__((vector_size(16)));
typedef uint64_t halves __attribute__((vector_size(16)));

static inline block load(const uint8_t *bytes) {
    block value;
    memcpy(&value, bytes, sizeof value);
    return value;
}

/// The first lane that matches, or 16.
static inline size_t first(block matches) {
    halves half = (halves)matches;
    if ((half[0] | half[1]) == 0) return 16;
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    if (half[0]) return (size_t)__builtin_ctzll(half[0]) >> 3;
    return 8 + ((size_t)__builtin_ctzll(half[1]) >> 3);
#else
    for (size_t lane = 0; lane < 16; lane++)
        if (matches[lane]) return lane;
    return 16;
#endif
}

// Each scan is a test for one byte, the same test for a block, and this loop. `ahead` is how many bytes after its own
// a test may read.
#define PARLEY_SCAN(name, ahead, block_test, byte_test)                                                                \
    size_t name(const void *start, size_t length) {                                                                    \
        const uint8_t *bytes = start;                                                                                  \
        size_t at = 0;                                                                                                 \
        for (; at + 16 + (ahead) <= length; at += 16) {                                                                \
            block value = load(bytes + at);                                                                            \
            size_t lane = first((block)(block_test));                                                                  \
            if (lane < 16) return at + lane;                                                                           \
        }                                                                                                              \
        for (; at < length; at++) {                                                                                    \
            uint8_t value = bytes[at];                                                                                 \
            if (byte_test) return at;                                                                                  \
        }                                                                                                              \
        return length;                                                                                                 \
    }

// As a signed number a byte over 0x7F is negative, so one comparison finds it and the control characters.
PARLEY_SCAN(
    parley_plain_run, 0, ((signed_block)value < 0x20) | (value == '"') | (value == '\\'),
    (int8_t)value < 0x20 || value == '"' || value == '\\')

PARLEY_SCAN(
    parley_unescaped_run, 0, (value < 0x20) | (value == '"') | (value == '\\'),
    value < 0x20 || value == '"' || value == '\\')

PARLEY_SCAN(parley_line_run, 0, (value == '\n') | (value == '\r'), value == '\n' || value == '\r')

static inline block key_block(const uint8_t *next) {
    block value = load(next);
    return (block)((value == 'e') | (value == 'f') | (value == 'u'));
}

static inline int key_byte(const uint8_t *bytes, size_t next, size_t length) {
    return next < length && (bytes[next] == 'e' || bytes[next] == 'f' || bytes[next] == 'u');
}

PARLEY_SCAN(
    parley_mark_run, 1,
    (block)(value == '\n') | (block)(value == '\r') | ((block)(value == '"') & key_block(bytes + at + 1)),
    value == '\n' || value == '\r' || (value == '"' && key_byte(bytes, at + 1, length)))

ptrdiff_t parley_find_word(const void *start, size_t length, const void *word, size_t word_length) {
    const uint8_t *bytes = start;
    const uint8_t *wanted = word;
    if (word_length < 2 || length < word_length) return parley_find(start, length, word, word_length);
    // Blocks are compared with the first two bytes at once, which leaves few places to look at closely.
    size_t last = length - word_length;
    size_t at = 0;
    for (; at + 17 <= length && at <= last; at += 16) {
        block matches = (block)((load(bytes + at) == wanted[0]) & (load(bytes + at + 1) == wanted[1]));
        size_t lane = first(matches);
        while (lane < 16) {
            if (at + lane > last) return -1;
            if (memcmp(bytes + at + lane, wanted, word_length) == 0) return (ptrdiff_t)(at + lane);
            matches[lane] = 0;
            lane = first(matches);
        }
    }
    if (at > last) return -1;
    ptrdiff_t found = parley_find(bytes + at, length - at, word, word_length);
    return found < 0 ? -1 : found + (ptrdiff_t)at;
}
