# SPDX-License-Identifier: Apache-2.0
# Part of Parley, an LLM gateway.
"""Upstreams of every kind in one small server: each checks its requests as strictly as the real one and answers in
its own wire format. What they answer is the same for all of them and chosen by a word in the first user text."""

from .server import Fakes

__all__ = ["Fakes"]
