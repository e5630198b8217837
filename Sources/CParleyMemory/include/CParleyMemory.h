// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

#ifndef CPARLEYMEMORY_H
#define CPARLEYMEMORY_H

// Keeps up to `bytes` of freed memory at the end of each of malloc's arenas, and takes pieces up to `largest` from them:
// glibc's malloc.h is not among what Swift imports. Does nothing where malloc is not glibc's.
void parley_keep_memory(int bytes, int largest);

// Tells SQLite not to count the memory that it takes, for which it would lock at every piece. To be called before its first
// connection; Swift imports no function of a variable number of arguments.
void parley_sqlite_count_no_memory(void);

#endif
