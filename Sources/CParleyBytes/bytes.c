// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

#define _GNU_SOURCE
#include "CParleyBytes.h"

#include <string.h>

ptrdiff_t parley_find(const void *haystack, size_t haystack_length, const void *needle, size_t needle_length) {
    const char *found = memmem(haystack, haystack_length, needle, needle_length);
    return found ? found - (const char *)haystack : -1;
}

ptrdiff_t parley_find_last(const void *haystack, size_t haystack_length, int byte) {
    const char *found = memrchr(haystack, byte, haystack_length);
    return found ? found - (const char *)haystack : -1;
}
