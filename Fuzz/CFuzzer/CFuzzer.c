// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.
#include "CFuzzer.h"
