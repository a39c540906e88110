"""Progress of programs that write firmware, from what they print."""

from __future__ import annotations

import random

import pytest

from agent.core.install_progress import LINE, InstallProgress

BAR = "=" * 30

# avrdude 7.1 to a pipe, as it wrote the simulated board
AVRDUDE = (
    (
        "avrdude: AVR device initialized and ready to accept instructions\n"
        "avrdude: device signature = 0x1e9801 (probably m2560)\n"
        "avrdude: reading input file new.bin for flash\n"
        "         with 20000 bytes in 1 section within [0, 0x4e1f]\n"
        "avrdude: writing 20000 bytes flash ...\n\nWriting | "
    ),
    "#" * 25,
    "#" * 25 + " | 100% 0.03s\n\navrdude: 20000 bytes of flash written\n"
    "avrdude: verifying flash memory against new.bin\n\nReading | ",
    "#" * 10,
    "#" * 40 + " | 100% 0.52s\n\navrdude: 20000 bytes of flash verified\n\navrdude done.  Thank you.\n",
)
# avrdude 6 to a pipe: the signature is read under a bar of its own
AVRDUDE6 = (
    "\nReading | ##################################################| 100% 0.01s\n\n",
    "avrdude: erasing chip\navrdude: writing flash (75032 bytes):\n\nWriting | ",
    "#" * 50 + " | 100% 11.91s\n\navrdude: 75032 bytes of flash written\n",
)
TERMINAL = ("\rWriting | ##########                                         | 20% 0.10s",)  # avrdude at a terminal
BOSSAC = (
    (
        "Erase flash\ndone in 0.830 seconds\n\nWrite 75032 bytes to flash (147 pages)\n"
        "\r[                              ] 0% (0/147 pages)"
    ),
    "\r[======                        ] 22% (33/147 pages)",
    f"\r[{BAR}] 100% (147/147 pages)\ndone in 1.255 seconds\n\nVerify 75032 bytes of flash\n",
    "\r[===============               ] 50% (73/147 pages)",
    f"\r[{BAR}] 100% (147/147 pages)\nVerify successful\n",
)
DFU_UTIL = (
    (
        "dfu-util 0.11\n\nOpening DFU capable USB device...\nDevice returned transfer size 2048\n"
        "Downloading element to address = 0x08000000, size = 25600\n"
        "\rErase   \t[=====                    ]  20%            0 bytes"
    ),
    (
        "\rErase   \t[=========================] 100%        25600 bytes\nErase    done.\n"
        "\rDownload\t[======                   ]  24%         6144 bytes"
    ),
    "\rDownload\t[=========================] 100%        25600 bytes\nDownload done.\nFile downloaded successfully\n",
)
STM32FLASH = (
    (
        "stm32flash 0.7\n\nhttp://stm32flash.sourceforge.net/\n\nUsing Parser : Raw BINARY\n"
        "Write to memory\nErasing memory\n"
    ),
    "\rWrote and verified address 0x08000100 (1.05%) \rWrote and verified address 0x08002580 (39.49%) ",
    "\rWrote and verified address 0x08006000 (100.00%) Done.\n\nStarting execution at address 0x08000000... done.\n",
)
OTHERS = ("loading\n", "step 1 of 2: 37 % of the blocks\n", "step 1 of 2: 99.5% of the blocks")


@pytest.mark.parametrize(
    ("output", "texts"),
    [
        (AVRDUDE, ["writing 0 %", "writing 50 %", "verifying 0 %", "verifying 20 %", "verifying 100 %"]),
        (AVRDUDE6, ["installing", "writing 0 %", "writing 100 %"]),
        (TERMINAL, ["writing 20 %"]),
        (BOSSAC, ["writing 0 %", "writing 22 %", "verifying", "verifying 50 %", "verifying 100 %"]),
        (DFU_UTIL, ["erasing 20 %", "writing 24 %", "writing 100 %"]),
        (STM32FLASH, ["erasing", "writing 39 %", "writing 100 %"]),
        (OTHERS, ["installing", "installing 37 %", "installing 99 %"]),
    ],
    ids=["avrdude 7", "avrdude 6", "avrdude at a terminal", "bossac", "dfu-util", "stm32flash", "another"],
)
def test_what_a_program_prints_is_its_progress(output: tuple[str, ...], texts: list[str]) -> None:
    seen, fractions = [], []
    progress = InstallProgress()
    for piece in output:
        progress.feed(piece.encode())
        seen.append(progress.text)
        fractions.append(progress.fraction)
    assert seen == texts
    assert fractions == sorted(fractions)
    assert 0.0 <= fractions[0] <= fractions[-1] <= 1.0


@pytest.mark.parametrize("output", [AVRDUDE, AVRDUDE6, BOSSAC, DFU_UTIL, STM32FLASH], ids=lambda o: o[0][:12].strip())
def test_pieces_of_any_size_give_the_same(output: tuple[str, ...]) -> None:
    whole, pieces = "".join(output).encode(), random.Random(7)
    expected = InstallProgress()
    expected.feed(whole)
    progress, last = InstallProgress(), 0.0
    while whole:
        size = pieces.randint(1, 40)
        progress.feed(whole[:size])
        whole = whole[size:]
        assert progress.fraction >= last
        last = progress.fraction
    assert (progress.text, progress.fraction) == (expected.text, expected.fraction)


def test_what_is_no_percentage_is_none() -> None:
    progress = InstallProgress()
    for line in (
        b"id 4000%\n",
        b"version 2.1.3\n",
        b"\xff\x00\x1b[2K\n",
        b"250 %\n",
        b"101 %\n",
        b"x" * 238 + b"5 %\n",
        b"x" * 100_000,
    ):
        progress.feed(line)
        assert (progress.percent, progress.fraction) == (None, 0.0), line


def test_the_progress_of_a_second_try_does_not_go_back() -> None:
    progress = InstallProgress()
    progress.feed(b"80 %\n10 %\n")
    assert (progress.text, progress.fraction) == ("installing 10 %", 0.8)


@pytest.mark.parametrize(
    ("output", "fraction"),
    [
        (b"x" * (LINE - 3) + b"5 %", 0.05),
        (b"Erase   \t[==    ]  20%", 0.02),
        (b"Writing | " + b"#" * 20, 0.1 + 0.65 * 0.4),
        (b"Writing | " + b"#" * 60, 0.75),
        (b"Writing | " + b"#" * 50 + b"\nReading | " + b"#" * 25, 0.875),
    ],
)
def test_erasing_writing_and_verifying_are_shares_of_one_progress(output: bytes, fraction: float) -> None:
    progress = InstallProgress()
    progress.feed(output)
    assert progress.fraction == pytest.approx(fraction)
    assert progress.percent is not None
    assert progress.percent <= 100
