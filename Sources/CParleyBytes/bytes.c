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

// Each scan is a test for one byte, the same test for a block, and this loop. A test may look at the byte behind its own
// (`next`), so that as many bytes as `ahead` says must follow a block.
#define PARLEY_SCAN(name, ahead, block_test, byte_test)                                                                \
    static size_t name##_16(const uint8_t *bytes, size_t length, size_t at) {                                          \
        typedef block lanes;                                                                                           \
        typedef signed_block signed_lanes PARLEY_UNUSED;                                                               \
        for (; at + 16 + (ahead) <= length; at += 16) {                                                                \
            lanes value = load(bytes + at), next PARLEY_UNUSED = load(bytes + at + (ahead));                           \
            size_t lane = first((lanes)(block_test));                                                                  \
            if (lane < 16) return at + lane;                                                                           \
        }                                                                                                              \
        for (; at < length; at++) {                                                                                    \
            uint8_t value = bytes[at], next PARLEY_UNUSED = at + (ahead) < length ? bytes[at + (ahead)] : 0;           \
            if (byte_test) return at;                                                                                  \
        }                                                                                                              \
        return length;                                                                                                 \
    }                                                                                                                  \
    PARLEY_WIDE_SCAN(name, ahead, block_test)                                                                          \
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
#define PARLEY_WIDE_SCAN(name, ahead, block_test)                                                                      \
    __attribute__((target("avx2"))) static size_t name##_32(const uint8_t *bytes, size_t length) {                     \
        typedef wide_block lanes;                                                                                      \
        typedef wide_signed_block signed_lanes PARLEY_UNUSED;                                                          \
        size_t at = 0;                                                                                                 \
        for (; at + 32 + (ahead) <= length; at += 32) {                                                                \
            lanes value, next;                                                                                         \
            memcpy(&value, bytes + at, 32);                                                                            \
            memcpy(&next, bytes + at + (ahead), 32);                                                                   \
            unsigned mask = (unsigned)_mm256_movemask_epi8((__m256i)(lanes)(block_test));                              \
            if (mask) return at + (size_t)__builtin_ctz(mask);                                                         \
        }                                                                                                              \
        return name##_16(bytes, length, at);                                                                           \
    }
#else
#define PARLEY_IS_WIDE(length) 0
#define PARLEY_WIDE_SCAN(name, ahead, block_test)                                                                      \
    static size_t name##_32(const uint8_t *bytes, size_t length) { return name##_16(bytes, length, 0); }
#endif

// As a signed number a byte over 0x7F is negative, so one comparison finds it and the control characters.
PARLEY_SCAN(
    parley_plain_run, 0, (lanes)((signed_lanes)value < 0x20) | (lanes)(value == '"') | (lanes)(value == '\\'),
    (int8_t)value < 0x20 || value == '"' || value == '\\')

PARLEY_SCAN(
    parley_unescaped_run, 0, (value < 0x20) | (value == '"') | (value == '\\'),
    value < 0x20 || value == '"' || value == '\\')

PARLEY_SCAN(
    parley_field_run, 0, (lanes)((value < 0x20) & (value != '\t')) | (lanes)(value == 0x7F),
    (value < 0x20 && value != '\t') || value == 0x7F)

PARLEY_SCAN(parley_line_run, 0, (value == '\n') | (value == '\r'), value == '\n' || value == '\r')

PARLEY_SCAN(
    parley_mark_run, 1,
    (lanes)(value == '\n') | (lanes)(value == '\r')
        | ((lanes)(value == '"') & (lanes)((next == 'e') | (next == 'f') | (next == 'u'))),
    value == '\n' || value == '\r' || (value == '"' && (next == 'e' || next == 'f' || next == 'u')))

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
