"""The simulated bootloader, frame by frame, and the board behind it."""

from __future__ import annotations

import math
import subprocess
import time
from functools import reduce
from operator import xor
from pathlib import Path

import pytest
import serial

from agent.errors import DataError
from drivers.simulated import Faults, Options, VirtualFirmware, VirtualPrinter
from drivers.simulated.bootloader import FLASH_SIZE, PAGE, SIGNATURE, Bootloader
from drivers.simulated.firmware_image import build_image, read_name
from drivers.simulated.flashable_board import WINDOW_S, FlashableBoard, new_flash
from drivers.simulated.pty_port import POLL_S
from tests.support.tools import need

OLD, NEW = "Marlin 2.1.2", "Marlin 2.1.3"
LEAVE = b"\x11\x01\x01"


def frame(body: bytes, number: int = 1) -> bytes:
    head = bytes((0x1B, number)) + len(body).to_bytes(2, "big") + b"\x0e" + body
    return head + bytes((reduce(xor, head),))


def ask(loader: Bootloader | FlashableBoard, body: bytes) -> bytes:
    """The body of the answer."""
    answer = loader.receive(frame(body), 0.0) if isinstance(loader, FlashableBoard) else loader.receive(frame(body))
    assert answer[:2] == b"\x1b\x01"
    assert reduce(xor, answer) == 0
    return answer[5:-1]


def write(loader: Bootloader | FlashableBoard, image: bytes) -> None:
    for at in range(0, len(image), PAGE):
        page = image[at : at + PAGE]
        assert ask(loader, b"\x06" + (at // 2).to_bytes(4, "big")) == b"\x06\x00"
        head = b"\x13" + len(page).to_bytes(2, "big") + b"\xc1\x0a\x40\x4c\x20\x00\x00"
        assert ask(loader, head + page) == b"\x13\x00"


def board() -> FlashableBoard:
    firmware = VirtualFirmware(Options(), Faults(), leap=True)
    return FlashableBoard(firmware, Bootloader(new_flash(OLD)), second=1.0)


def test_it_signs_on_and_tells_the_chip() -> None:
    loader = Bootloader(new_flash(OLD))
    assert ask(loader, b"\x01") == b"\x01\x00\x08AVRISP_2"
    assert ask(loader, b"\x03\x91") == b"\x03\x00\x02"
    assert [ask(loader, b"\x1d\x04\x04\x00\x30\x00" + bytes((i, 0)))[5] for i in range(3)] == list(SIGNATURE)
    assert ask(loader, b"\x12\x09\x00\xac\x80\x00\x00")[1] == 0xC0, "it does not erase the chip"
    assert ask(loader, b"\x77")[1] == 0xC9, "what it does not know"
    assert loader.entered


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_what_is_written_is_read_back_however_the_bytes_come(size: int) -> None:
    loader = Bootloader(new_flash(OLD))
    image = build_image(NEW, 1000)
    write(loader, image)
    assert ask(loader, b"\x06\x00\x00\x00\x00") == b"\x06\x00"
    asked = frame(b"\x14" + (256).to_bytes(2, "big") + b"\x20")
    answer = b"".join(loader.receive(asked[at : at + size]) for at in range(0, len(asked), size))
    assert answer[7:-2] == image[:256]
    assert read_name(loader.flash) == NEW


def test_a_damaged_frame_is_refused_and_garbage_is_passed_over() -> None:
    loader = Bootloader(new_flash(OLD))
    damaged = bytearray(frame(b"\x01"))
    damaged[-1] ^= 1
    assert loader.receive(bytes(damaged))[5:7] == b"\xb0\xc1"
    assert ask(loader, b"\x01")[:2] == b"\x01\x00"
    assert loader.receive(b"M115\n\x1b\x01\xff\xff\x0e") == b""
    assert ask(loader, b"\x01")[:2] == b"\x01\x00"
    assert ask(loader, b"\x1b")[1] == 0xC0, "half a command"


def test_the_bootloader_itself_cannot_be_overwritten() -> None:
    loader = Bootloader(new_flash(OLD))
    assert ask(loader, b"\x06" + (FLASH_SIZE // 2 - 128).to_bytes(4, "big")) == b"\x06\x00"
    assert ask(loader, b"\x13\x00\x02\xc1\x0a\x40\x4c\x20\x00\x00ab")[1] == 0xC0


def test_the_firmware_runs_after_the_window_and_at_once_when_the_programmer_leaves() -> None:
    one = board()
    one.reset(0.0)
    assert one.receive(b"M115\n", 0.1) == b"", "the bootloader has the line"
    assert one.advance(WINDOW_S).startswith(b"start\n")
    one.reset(10.0)
    write(one, build_image(NEW))
    assert one.wake_at() == math.inf
    assert one.advance(100.0) == b"", "it waits for the programmer's next word"
    assert b"start\n" in one.receive(frame(LEAVE), 100.0)
    assert f"FIRMWARE_NAME:{NEW} SOURCE_CODE_URL".encode() in one.receive(b"M115\n", 100.0)


def test_half_an_image_does_not_run_until_a_whole_one_is_written() -> None:
    one = board()
    one.reset(0.0)
    write(one, build_image(NEW)[: PAGE * 3])
    for now in (10.0, 20.0):
        one.reset(now)
        assert one.advance(now + 5) + one.receive(b"M115\n", now + 6) == b""
    one.reset(30.0)
    write(one, build_image(NEW))
    one.reset(40.0)
    assert one.advance(50.0).startswith(b"start\n")


def test_a_firmware_of_no_avr_board_has_no_bootloader() -> None:
    with pytest.raises(DataError, match="no simulated bootloader for klipper"):
        VirtualPrinter(Options(dialect="klipper", bootloader=True))


def test_the_real_avrdude_writes_it_and_verifies_it(tmp_path: Path) -> None:
    avrdude = need("avrdude")
    image = tmp_path / "image.bin"
    image.write_bytes(build_image(NEW, 3000))
    with VirtualPrinter(Options(bootloader=True)) as printer:
        flash = ("-c", "wiring", "-p", "m2560", "-P", printer.path, "-b", "115200", "-D", "-U", f"flash:w:{image}:r")
        done = subprocess.run([avrdude, *flash], capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        assert "3000 bytes of flash verified" in done.stderr
        time.sleep(5 * POLL_S)  # else the port has not noticed that avrdude has left
        with serial.Serial(printer.path, 115200, timeout=5) as port:
            assert port.read_until(b"Loaded\n").startswith(b"start\n")
            port.write(b"M115\n")
            assert port.read_until(b" SOURCE").startswith(f"FIRMWARE_NAME:{NEW}".encode())
