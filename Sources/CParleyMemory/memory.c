// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

#include "CParleyMemory.h"

#include <sqlite3.h>
// Says whose library it is.
#include <stdlib.h>

#ifdef __GLIBC__
#include <malloc.h>
#endif

void parley_keep_memory(int bytes, int largest) {
#ifdef __GLIBC__
    mallopt(M_TRIM_THRESHOLD, bytes);
    // Setting the one ends glibc's own adjustment of the other.
    mallopt(M_MMAP_THRESHOLD, largest);
#else
    (void)bytes;
    (void)largest;
#endif
}

void parley_sqlite_count_no_memory(void) { sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0); }
