"""What survives a restart: the database with the ledger of tasks and the outbox, the checkpoint, the identity."""
