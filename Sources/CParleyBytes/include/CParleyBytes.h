// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

#ifndef C_PARLEY_BYTES_H
#define C_PARLEY_BYTES_H

#include <stddef.h>

/// The offset of `needle` in `haystack`, or -1. glibc's memmem is vectorised but hidden from Swift's Glibc module.
ptrdiff_t parley_find(const void *haystack, size_t haystack_length, const void *needle, size_t needle_length);

/// The offset of the last `byte` in `haystack`, or -1 (memrchr, hidden likewise).
ptrdiff_t parley_find_last(const void *haystack, size_t haystack_length, int byte);

#endif
