"""The random streams of src/base/rng.rs, written a second time from their description: what is drawn is a function of (seed, labels).

The key is the BLAKE3 of the tagged, length-prefixed fields (src/base/digest), the numbers are ChaCha8's, as rand_chacha counts its blocks.
Needs numpy and blake3, of PyPI.
"""
import math

import numpy
from blake3 import blake3

# Columns, then diagonals, of ChaCha's 4×4 words.
QUARTERS = [(0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15), (0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14)]


def key(seed, labels):
    fields = [(b"domain", b"layerwise random stream v1"), (b"seed", seed.to_bytes(8, "little"))]
    fields += [(b"label", label.encode()) for label in labels]
    parts = [part for field in fields for part in field]
    return blake3(b"".join(len(part).to_bytes(8, "little") + part for part in parts)).digest()


def words(key, count):
    """The first `count` numbers of 64 bits; all of ChaCha8's blocks are computed side by side."""
    blocks = -(-count // 8)
    start = numpy.zeros((16, blocks), numpy.uint32)
    start[:4] = numpy.frombuffer(b"expand 32-byte k", "<u4")[:, None]
    start[4:12] = numpy.frombuffer(key, "<u4")[:, None]
    start[12] = numpy.arange(blocks)
    state = start.copy()
    for _ in range(4):
        for a, b, c, d in QUARTERS:
            for into, other, mixed, left in [(a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)]:
                state[into] += state[other]
                state[mixed] ^= state[into]
                state[mixed] = state[mixed] << left | state[mixed] >> (32 - left)
    return numpy.ascontiguousarray((state + start).T).view("<u8").ravel()[:count]


def uniform(seed, labels, shape, bound):
    """Uniform in [-bound, bound), as float32."""
    unit = (words(key(seed, labels), math.prod(shape)) >> numpy.uint64(11)) / 2.0**53
    return (-bound + (bound + bound) * unit).astype(numpy.float32).reshape(shape)


def permutation(seed, labels, n):
    """Fisher and Yates' shuffle of 0..n, each index by Lemire's method; n is below 2^32."""
    numbers, bounds = words(key(seed, labels), n - 1), numpy.arange(n, 1, -1, dtype=numpy.uint64)
    low, high = numbers & numpy.uint64(2**32 - 1), numbers >> numpy.uint64(32)
    chosen = (high * bounds + (low * bounds >> numpy.uint64(32))) >> numpy.uint64(32)
    threshold = (numpy.uint64(0) - bounds) % bounds
    assert (numbers * bounds >= threshold).all(), "a number is drawn again: one in 10^14, not written here"
    order = list(range(n))
    for i, j in zip(range(n - 1, 0, -1), chosen.tolist()):
        order[i], order[j] = order[j], order[i]
    return numpy.array(order)
