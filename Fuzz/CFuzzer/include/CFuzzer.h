// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.
#pragma once
#include <stddef.h>
#include <stdint.h>

/// libFuzzer's loop, for programs with a main of their own.
int LLVMFuzzerRunDriver(int *argc, char ***argv, int (*callback)(const uint8_t *data, size_t size));
