"""The pure core: no threads, sockets, files or clocks of its own; standard library and msgspec only."""
