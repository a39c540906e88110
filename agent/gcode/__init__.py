"""The G-code language, and G-code files as streams: scan, checks, index, layers, and lines from any place. Pure.

scanner = Scanner(limits); scanner.feed(block)…; index = scanner.finish()      one pass, as the file arrives
source = FileSource(path, index); source.lines(start)                          what the driver sends
index.position(line)                                                           what the cloud is told

Which commands a file may have is a table for each firmware, command_policy; strict_reader and command_check apply it.

The language, which drivers use too: words (commands and parameters), framing (line number and checksum), modal (what
a program has set), waiting (commands that wait for heat or a person).
"""

from agent.gcode.index import Caution, Index, PrintPosition
from agent.gcode.limits import Limits
from agent.gcode.scan import Scanner
from agent.gcode.source import FileSource

__all__ = ["Caution", "FileSource", "Index", "Limits", "PrintPosition", "Scanner"]
