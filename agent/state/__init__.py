"""Persistent state: the database with the ledger of tasks, outbox, checkpoints, identity and settings."""
