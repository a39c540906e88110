"""Simulated bootloader of an AVR board (ATmega2560): STK500v2 over the serial line, as avrdude's programmers `wiring`
and `stk500v2` speak it. Pure: bytes in, bytes out.

A frame is 0x1B, a sequence number, the body's size in two bytes, 0x0E, the body, and the exclusive or of all before it.
The commands are those of Atmel's application note AVR068 that the bootloader of such boards has; it erases a page as it
writes it, and refuses to erase the chip as a whole (avrdude's `-D`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import reduce
from operator import xor

FLASH_SIZE = 256 * 1024
PAGE = 256  # bytes
BOOT_SECTION = 8 * 1024  # bytes at the end of the flash that the bootloader itself is in
SIGNATURE = bytes((0x1E, 0x98, 0x01))  # of an ATmega2560
PROGRAMMER = b"AVRISP_2"

_START, _TOKEN = 0x1B, 0x0E
_HEAD = 5  # bytes of a frame before its body
_MOST = 275 + 10  # bytes of a body: a page and its head
_OK, _FAILED, _UNKNOWN, _BAD_CHECKSUM = 0x00, 0xC0, 0xC9, 0xC1
_SIGN_ON, _SET, _GET, _ADDRESS, _ENTER, _LEAVE = 0x01, 0x02, 0x03, 0x06, 0x10, 0x11
_ERASE, _WRITE_FLASH, _READ_FLASH, _READ_SIGNATURE, _SPI = 0x12, 0x13, 0x14, 0x1B, 0x1D
_ANSWER_CHECKSUM = 0xB0
_READ_SIGNATURE_BYTE = 0x30  # the AVR's own instruction, in SPI_MULTI
_PARAMETERS: Mapping[int, int] = {0x90: 15, 0x91: 2, 0x92: 10, 0x94: 50, 0x98: 1}  # versions, 5.0 V, clock


class Bootloader:
    """Bootloader over its `flash`, which is changed in place. `entered`: a programmer has spoken to it since the reset;
    `left`: it has said that it is done, and the application begins."""

    def __init__(self, flash: bytearray) -> None:
        self.flash = flash
        self.entered = self.left = False
        self._address = 0  # in bytes
        self._received = bytearray()
        self._commands: Mapping[int, Callable[[bytes], bytes]] = {
            _SIGN_ON: self._sign_on,
            _SET: lambda body: bytes((body[0], _OK)),
            _GET: lambda body: bytes((body[0], _OK, _PARAMETERS.get(body[1], 0))),
            _ADDRESS: self._load_address,
            _ENTER: lambda body: bytes((body[0], _OK)),
            _LEAVE: self._leave,
            _ERASE: lambda body: bytes((body[0], _FAILED)),
            _WRITE_FLASH: self._write,
            _READ_FLASH: self._read,
            _READ_SIGNATURE: lambda body: bytes((body[0], _OK, SIGNATURE[min(body[4], 2)], _OK)),
            _SPI: self._spi,
        }

    def restart(self) -> None:
        """Begin anew, as after a reset; the flash stays."""
        self.entered = self.left = False
        self._address = 0
        self._received.clear()

    def receive(self, data: bytes) -> bytes:
        """Take bytes from the programmer; the answers to the frames that they complete."""
        received, answers = self._received, bytearray()
        received += data
        while not self.left:
            start = received.find(_START)
            del received[: start if start >= 0 else len(received)]
            if len(received) < _HEAD:
                break
            size = int.from_bytes(received[2:4], "big")
            if received[4] != _TOKEN or size > _MOST or not size:
                del received[0]
                continue
            if len(received) < _HEAD + size + 1:
                break
            frame, checksum = bytes(received[: _HEAD + size]), received[_HEAD + size]
            del received[: _HEAD + size + 1]
            self.entered = True
            good = reduce(xor, frame) == checksum
            answers += _frame(
                frame[1], self._answer(frame[_HEAD:]) if good else bytes((_ANSWER_CHECKSUM, _BAD_CHECKSUM))
            )
        return bytes(answers)

    def _answer(self, body: bytes) -> bytes:
        command = self._commands.get(body[0])
        try:
            return command(body) if command is not None else bytes((body[0], _UNKNOWN))
        except IndexError:  # shorter than its command is
            return bytes((body[0], _FAILED))

    def _sign_on(self, body: bytes) -> bytes:
        return bytes((body[0], _OK, len(PROGRAMMER))) + PROGRAMMER

    def _leave(self, body: bytes) -> bytes:
        self.left = True
        return bytes((body[0], _OK))

    def _load_address(self, body: bytes) -> bytes:
        words = int.from_bytes(body[1:5], "big") & 0x7FFFFFFF  # the highest bit: beyond 64 KiB
        self._address = words * 2
        return bytes((body[0], _OK))

    def _write(self, body: bytes) -> bytes:
        """PROGRAM_FLASH_ISP: two bytes of size, seven that a bootloader passes over, the data."""
        data, at = body[10:], self._address
        if len(data) != int.from_bytes(body[1:3], "big") or at + len(data) > FLASH_SIZE - BOOT_SECTION:
            return bytes((body[0], _FAILED))
        page = at - at % PAGE
        if page == at:
            self.flash[page : page + PAGE] = b"\xff" * PAGE
        self.flash[at : at + len(data)] = data
        self._address += len(data)
        return bytes((body[0], _OK))

    def _read(self, body: bytes) -> bytes:
        size = int.from_bytes(body[1:3], "big")
        data = bytes(self.flash[self._address : self._address + size])
        self._address += size
        return bytes((body[0], _OK)) + data + bytes((_OK,))

    def _spi(self, body: bytes) -> bytes:
        """SPI_MULTI: an instruction of the AVR. The signature is known; all else, the fuses too, reads as 0."""
        value = SIGNATURE[min(body[6], 2)] if body[4] == _READ_SIGNATURE_BYTE else 0
        return bytes((body[0], _OK, 0, body[4], 0, value, _OK))


def _frame(sequence: int, body: bytes) -> bytes:
    head = bytes((_START, sequence)) + len(body).to_bytes(2, "big") + bytes((_TOKEN,))
    return head + body + bytes((reduce(xor, head + body),))
