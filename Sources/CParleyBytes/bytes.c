// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

#define _GNU_SOURCE
#include "CParleyBytes.h"

#include <stdint.h>
#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

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
#if defined(__SSE2__)
    unsigned mask = (unsigned)_mm_movemask_epi8((__m128i)matches);
    return mask ? (size_t)__builtin_ctz(mask) : 16;
#elif defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    halves half = (halves)matches;
    if ((half[0] | half[1]) == 0) return 16;
    if (half[0]) return (size_t)__builtin_ctzll(half[0]) >> 3;
    return 8 + ((size_t)__builtin_ctzll(half[1]) >> 3);
#else
    for (size_t lane = 0; lane < 16; lane++)
        if (matches[lane]) return lane;
    return 16;
#endif
}

#define PARLEY_UNUSED __attribute__((unused))

// Each scan is a test for one byte, the same test for a block, and this loop.
#define PARLEY_SCAN(name, block_test, byte_test)                                                                       \
    static size_t name##_16(const uint8_t *bytes, size_t length, size_t at) {                                          \
        typedef block lanes;                                                                                           \
        typedef signed_block signed_lanes PARLEY_UNUSED;                                                               \
        for (; at + 16 <= length; at += 16) {                                                                          \
            lanes value = load(bytes + at);                                                                            \
            size_t lane = first((lanes)(block_test));                                                                  \
            if (lane < 16) return at + lane;                                                                           \
        }                                                                                                              \
        for (; at < length; at++) {                                                                                    \
            uint8_t value = bytes[at];                                                                                 \
            if (byte_test) return at;                                                                                  \
        }                                                                                                              \
        return length;                                                                                                 \
    }                                                                                                                  \
    PARLEY_WIDE_SCAN(name, block_test)                                                                                 \
    size_t name(const void *start, size_t length) {                                                                    \
        return PARLEY_IS_WIDE(length) ? name##_32(start, length) : name##_16(start, length, 0);                        \
    }

#if defined(__x86_64__)
// Thirty-two at a time where the processor can. What is shorter is not worth the other unit's warm-up.
typedef uint8_t wide_block __attribute__((vector_size(32)));
typedef int8_t wide_signed_block __attribute__((vector_size(32)));

static int has_wide_blocks;

__attribute__((constructor)) static void find_out(void) {
    __builtin_cpu_init();
    has_wide_blocks = __builtin_cpu_supports("avx2");
}

#define PARLEY_IS_WIDE(length) (has_wide_blocks && (length) >= 33)
#define PARLEY_WIDE_SCAN(name, block_test)                                                                             \
    __attribute__((target("avx2"))) static size_t name##_32(const uint8_t *bytes, size_t length) {                     \
        typedef wide_block lanes;                                                                                      \
        typedef wide_signed_block signed_lanes PARLEY_UNUSED;                                                          \
        size_t at = 0;                                                                                                 \
        for (; at + 32 <= length; at += 32) {                                                                          \
            lanes value;                                                                                               \
            memcpy(&value, bytes + at, 32);                                                                            \
            unsigned mask = (unsigned)_mm256_movemask_epi8((__m256i)(lanes)(block_test));                              \
            if (mask) return at + (size_t)__builtin_ctz(mask);                                                         \
        }                                                                                                              \
        return name##_16(bytes, length, at);                                                                           \
    }
#else
#define PARLEY_IS_WIDE(length) 0
#define PARLEY_WIDE_SCAN(name, block_test)                                                                             \
    static size_t name##_32(const uint8_t *bytes, size_t length) { return name##_16(bytes, length, 0); }
#endif

// As a signed number a byte over 0x7F is negative, so one comparison finds it and the control characters.
PARLEY_SCAN(
    parley_plain_run, (lanes)((signed_lanes)value < 0x20) | (lanes)(value == '"') | (lanes)(value == '\\'),
    (int8_t)value < 0x20 || value == '"' || value == '\\')

PARLEY_SCAN(
    parley_unescaped_run, (value < 0x20) | (value == '"') | (value == '\\'),
    value < 0x20 || value == '"' || value == '\\')

PARLEY_SCAN(
    parley_field_run, (lanes)((value < 0x20) & (value != '\t')) | (lanes)(value == 0x7F),
    (value < 0x20 && value != '\t') || value == 0x7F)

PARLEY_SCAN(parley_line_run, (value == '\n') | (value == '\r'), value == '\n' || value == '\r')

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

static inline int has_prefix(const uint8_t *bytes, size_t length, const char *text, size_t text_length) {
    return length >= text_length && memcmp(bytes, text, text_length) == 0;
}
#define HAS_PREFIX(bytes, length, text) has_prefix(bytes, length, text, sizeof text - 1)

/// Whether null, "" or "null" follows a key that ends at `at`.
static inline int has_no_value(const uint8_t *bytes, size_t length, size_t at) {
    if (at >= length || bytes[at] != ':') return 0;
    for (at++; at < length && bytes[at] == ' ';) at++;
    const uint8_t *value = bytes + at;
    size_t left = length - at;
    return HAS_PREFIX(value, left, "null") || HAS_PREFIX(value, left, "\"\"") || HAS_PREFIX(value, left, "\"null\"");
}

/// Whether the quote at the start begins a key that matters, with a value that does.
static inline int is_remarkable(const uint8_t *bytes, size_t length, int seeks_finish) {
    switch (bytes[1]) {
    case 'f':
        return seeks_finish && HAS_PREFIX(bytes, length, "\"finish_reason\"") && !has_no_value(bytes, length, 15);
    case 'u': return HAS_PREFIX(bytes, length, "\"usage\"") && !has_no_value(bytes, length, 7);
    // As a value it may be `object: error`.
    default: return HAS_PREFIX(bytes, length, "\"error\"") && !has_no_value(bytes, length, 7);
    }
}

// A byte where the reader of a frame stops: the end of its line, or a quote with one of the letters behind it that begin
// `error`, `finish_reason` and `usage`; e and u differ in one bit.
#define PARLEY_IS_MARK(value, next) \
    (((value) == '\n') | ((value) == '\r') | (((value) == '"') & ((((next) & 0xEF) == 'e') | ((next) == 'f'))))

/// The end of the line that `at` is in: its line feed or carriage return, or `length` (here `limit`). Says in `remarkable`
/// whether there is a key on the way that matters.
static size_t line_end_1(
    const uint8_t *bytes, size_t length, size_t at, size_t limit, int seeks_finish, int *remarkable) {
    for (; at < limit; at++) {
        if (!PARLEY_IS_MARK(bytes[at], at + 1 < length ? bytes[at + 1] : 0)) continue;
        if (bytes[at] != '"') return at;
        if (!*remarkable) *remarkable = is_remarkable(bytes + at, length - at, seeks_finish);
    }
    return limit;
}

static size_t line_end_16(const uint8_t *bytes, size_t length, size_t at, int seeks_finish, int *remarkable) {
    for (; at + 17 <= length; at += 16) {
        block value = load(bytes + at), next = load(bytes + at + 1);
        size_t lane = first((block)PARLEY_IS_MARK(value, next));
        if (lane < 16) {
            // Few blocks have one: the rest of this one is read byte by byte.
            size_t end = line_end_1(bytes, length, at + lane, at + 16, seeks_finish, remarkable);
            if (end < at + 16) return end;
        }
    }
    return line_end_1(bytes, length, at, length, seeks_finish, remarkable);
}

#if defined(__x86_64__)
__attribute__((target("avx2"))) static size_t line_end_32(
    const uint8_t *bytes, size_t length, size_t at, int seeks_finish, int *remarkable) {
    for (; at + 1 < length; at += 32) {
        // The last block lies over the one before it, whose places are left out.
        size_t from = at + 33 <= length ? at : length - 33;
        wide_block value, next;
        memcpy(&value, bytes + from, 32);
        memcpy(&next, bytes + from + 1, 32);
        wide_block marks = (wide_block)PARLEY_IS_MARK(value, next);
        unsigned mask = (unsigned)_mm256_movemask_epi8((__m256i)marks) & ~0u << (at - from);
        for (; mask; mask &= mask - 1) {
            size_t mark = from + (size_t)__builtin_ctz(mask);
            if (bytes[mark] != '"') return mark;
            if (!*remarkable) *remarkable = is_remarkable(bytes + mark, length - mark, seeks_finish);
        }
    }
    return line_end_1(bytes, length, length - 1, length, seeks_finish, remarkable);
}
#else
#define line_end_32 line_end_16
#endif

int parley_chat_frame(const void *start, size_t length, int seeks_finish, struct parley_frame *frame) {
    const uint8_t *bytes = start;
    if (length < 8 || memcmp(bytes, "data:", 5) != 0) return 0;
    size_t object = bytes[5] == ' ' ? 6 : 5;
    if (bytes[object] != '{') return 0;
    int remarkable = 0;
    size_t at = PARLEY_IS_WIDE(length) ? line_end_32(bytes, length, object + 1, seeks_finish, &remarkable)
                                       : line_end_16(bytes, length, object + 1, seeks_finish, &remarkable);
    // Two line ends of one kind, LF or CR LF.
    if (at + 1 >= length || bytes[at - 1] != '}' || bytes[at + 1] != '\n') return 0;
    size_t end = at + 2;
    if (bytes[at] != '\n') {
        if (end >= length || bytes[end] != '\r') return 0;
        end++;
        // The last LF may be in the next read.
        if (end < length && bytes[end] == '\n') end++;
    }
    *frame = (struct parley_frame){object, at, end, remarkable};
    return 1;
}

static inline int hexadecimal(uint8_t byte) {
    if (byte >= '0' && byte <= '9') return byte - '0';
    byte |= 0x20;
    return byte >= 'a' && byte <= 'f' ? byte - 'a' + 10 : -1;
}

size_t parley_join_chunks(const void *start, size_t length, void *target, size_t *used) {
    const uint8_t *bytes = start;
    uint8_t *out = target;
    size_t at = 0;
    while (1) {
        size_t next = at, size = 0;
        int digit;
        // Seven digits, so that no sum overflows.
        while (next < length && next < at + 7 && (digit = hexadecimal(bytes[next])) >= 0) {
            size = size << 4 | (size_t)digit;
            next++;
        }
        if (size == 0 || length - next < size + 4) break;
        const uint8_t *payload = bytes + next + 2;
        if (payload[-2] != '\r' || payload[-1] != '\n' || payload[size] != '\r' || payload[size + 1] != '\n') break;
        memcpy(out, payload, size);
        out += size;
        at = next + size + 4;
    }
    *used = at;
    return (size_t)(out - (uint8_t *)target);
}
