"""Fuzzer of all parsers of text from outside: mutated real examples, and what must hold of each (`make fuzz`)."""
