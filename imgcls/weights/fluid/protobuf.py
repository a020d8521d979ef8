"""The part of protobuf's wire format that fluid files need: walk a message, write a varint."""

from collections.abc import Iterator

Message = bytes | memoryview

VARINT, FIXED64, LENGTH_DELIMITED, FIXED32 = 0, 1, 2, 5


def fields(message: Message) -> Iterator[tuple[int, int | Message]]:
    """Number and value of each field of a message, in order of appearance.

    Varints come as unsigned ``int``, strings and embedded messages as the bytes they occupy.

    Raises:
        ValueError: the bytes are no protobuf message.
    """
    position = 0
    while position < len(message):
        tag, position = read_varint(message, position)
        number, wire_type = tag >> 3, tag & 7
        if wire_type == VARINT:
            value, position = read_varint(message, position)
            yield number, value
            continue
        if wire_type == LENGTH_DELIMITED:
            size, position = read_varint(message, position)
        elif wire_type in (FIXED64, FIXED32):
            size = 8 if wire_type == FIXED64 else 4
        else:
            raise ValueError(f"wire type {wire_type} at byte {position}")
        if number == 0 or position + size > len(message):
            raise ValueError(f"field {number} of {size} bytes at byte {position} does not fit")
        yield number, message[position : position + size]
        position += size


def read_varint(message: Message, position: int) -> tuple[int, int]:
    """The varint at ``position`` and the position after it."""
    value = 0
    for shift in range(0, 70, 7):
        if position >= len(message):
            break
        byte = message[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
    raise ValueError(f"unfinished number at byte {position}")


def varint(value: int) -> bytes:
    """A non-negative number, seven bits a byte, low bits first."""
    encoded = bytearray()
    while value >= 0x80:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)
