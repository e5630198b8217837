// SPDX-License-Identifier: Apache-2.0
// Part of Parley, an LLM gateway.

#ifndef CPARLEY_PRICES_H
#define CPARLEY_PRICES_H

/// The built-in prices: lines of a name (`vendor/model`), a tab and letters with numbers, sorted by the name's bytes.
const char *parley_prices(void);

/// How many bytes the lines have.
long parley_prices_size(void);

#endif
