"""Ed25519 signatures, verified only, after RFC 8032 (section 5.1).

Everything here is public (key, message and signature), so that nothing has to take the same time for every input; what
signs must come from a real library. None is used, because the smallest adds half a megabyte to each cold start.
"""

from __future__ import annotations

import hashlib
from typing import TypeAlias

Point: TypeAlias = tuple[int, int, int, int]
"""X, Y, Z and T: x = X/Z, y = Y/Z, xy = T/Z."""

KEY_BYTES = 32

_P = 2**255 - 19
_ORDER = 2**252 + 27742317777372353535851937790883648493
"""Of the base point."""
_D = -121665 * pow(121666, -1, _P) % _P
_ROOT_OF_MINUS_1 = pow(2, (_P - 1) // 4, _P)
_SIGN = 1 << 255


def verify(public_key: bytes, message: bytes, signature: bytes) -> bool:
    """Whether the key's owner signed the message, by the equation without the cofactor, as most libraries have it."""
    key = _decode(public_key)
    commitment, answer = signature[:KEY_BYTES], signature[KEY_BYTES:]
    if key is None or _has_small_order(key) or len(answer) != KEY_BYTES:
        return False
    s = int.from_bytes(answer, "little")
    if s >= _ORDER:  # else there would be another signature for each
        return False
    digest = hashlib.sha512(commitment + public_key + message).digest()
    x, y, z, t = _multiply(int.from_bytes(digest, "little") % _ORDER, key)
    return _encode(_add(_multiply(s, _BASE), (_P - x, y, z, _P - t))) == commitment


def _add(first: Point, second: Point) -> Point:
    """Section 5.1.4: complete, so that it doubles too."""
    a = (first[1] - first[0]) * (second[1] - second[0]) % _P
    b = (first[1] + first[0]) * (second[1] + second[0]) % _P
    c = 2 * first[3] * second[3] * _D % _P
    d = 2 * first[2] * second[2] % _P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % _P, g * h % _P, f * g % _P, e * h % _P


def _multiply(times: int, point: Point) -> Point:
    result: Point = (0, 1, 1, 0)
    while times:
        if times & 1:
            result = _add(result, point)
        point = _add(point, point)
        times >>= 1
    return result


def _has_small_order(point: Point) -> bool:
    """Every message has a signature under such a key."""
    x, y, z, _ = _multiply(8, point)
    return x == 0 and y == z


def _decode(encoded: bytes) -> Point | None:
    """Section 5.1.3; None for what is no point, or a second way to write one. (A sign where x is 0 is small order.)"""
    both = int.from_bytes(encoded, "little")
    y, sign = both & (_SIGN - 1), both >> 255
    if len(encoded) != KEY_BYTES or y >= _P:
        return None
    square = (y * y - 1) * pow(_D * y * y + 1, -1, _P) % _P
    x = pow(square, (_P + 3) // 8, _P)
    if x * x % _P != square:
        x = x * _ROOT_OF_MINUS_1 % _P
    if x * x % _P != square:
        return None
    x = x if x & 1 == sign else _P - x
    return x, y, 1, x * y % _P


def _encode(point: Point) -> bytes:
    x, y, z, _ = point
    inverse = pow(z, -1, _P)
    return (y * inverse % _P | (x * inverse % _P & 1) << 255).to_bytes(KEY_BYTES, "little")


_BASE_X = 0x216936D3CD6E53FEC0A4E231FDD6DC5C692CC7609525A7B2C9562D608F25D51A
_BASE_Y = 4 * pow(5, -1, _P) % _P
_BASE: Point = (_BASE_X, _BASE_Y, 1, _BASE_X * _BASE_Y % _P)
