"""A G-code file as a stream: what can be sent of it, where its layers are, how long it takes, and its n-th line.

scanner = Scanner(limits); scanner.feed(block)…; index = scanner.finish()      one pass, as the file arrives
source = FileSource(path, index); source.lines(start)                          what the driver sends
index.position(line)                                                           what the cloud is told
"""

from agent.gcode.index import Caution, Index, Position
from agent.gcode.preflight import Limits
from agent.gcode.scan import Scanner
from agent.gcode.source import FileSource

__all__ = ["Caution", "FileSource", "Index", "Limits", "Position", "Scanner"]
