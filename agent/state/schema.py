"""Database schema and its migrations."""

from __future__ import annotations

import sqlite3

from agent.errors import UnavailableError

STEPS = (
    (
        "CREATE TABLE identity (server TEXT PRIMARY KEY, value BLOB NOT NULL)",
        """CREATE TABLE tasks (
            task_id TEXT PRIMARY KEY,
            command BLOB NOT NULL,           -- core.command.Command as JSON
            state TEXT NOT NULL,             -- core.task.TaskState
            local INTEGER NOT NULL,          -- began at the printer: nothing to report to the cloud
            progress REAL NOT NULL DEFAULT 0,
            message TEXT NOT NULL DEFAULT '',
            received_at REAL NOT NULL,       -- seconds since the epoch, for people only
            updated_at REAL NOT NULL,
            last_kind TEXT, last_body BLOB, last_key TEXT
        )""",
        "CREATE INDEX tasks_by_state ON tasks (state)",
        """CREATE TABLE outbox (
            id INTEGER PRIMARY KEY AUTOINCREMENT,  -- the order; never used twice
            task_id TEXT NOT NULL,
            kind TEXT NOT NULL,              -- core.report_bodies.Kind
            body BLOB NOT NULL,
            key TEXT NOT NULL                -- the same on each try
        )""",
        "CREATE INDEX outbox_by_task ON outbox (task_id, id)",
        """CREATE TABLE refused (
            id INTEGER PRIMARY KEY,
            task_id TEXT NOT NULL, kind TEXT NOT NULL, body BLOB NOT NULL, key TEXT NOT NULL,
            status INTEGER NOT NULL, answer TEXT NOT NULL, at REAL NOT NULL
        )""",
        "CREATE TABLE settings (key TEXT PRIMARY KEY, value BLOB NOT NULL)",
    ),
    (
        "CREATE TABLE meta (key TEXT PRIMARY KEY, value REAL NOT NULL)",
        "ALTER TABLE tasks ADD COLUMN boot TEXT NOT NULL DEFAULT ''",  # when it was received: which boot, and the
        "ALTER TABLE tasks ADD COLUMN mono REAL NOT NULL DEFAULT 0",  # monotonic clock then
        "ALTER TABLE tasks ADD COLUMN lived REAL NOT NULL DEFAULT 0",  # when it changed last: see Database
        "ALTER TABLE refused ADD COLUMN lived REAL NOT NULL DEFAULT 0",
    ),
    (
        """CREATE TABLE checkpoints (
            task_id TEXT PRIMARY KEY,        -- of a print that has begun and has not ended
            job BLOB NOT NULL,               -- core.job.JobView as JSON, as it was reported last
            file BLOB NOT NULL,              -- checkpoint.FileMark as JSON
            preamble BLOB NOT NULL,          -- a list of lines as JSON
            memory BLOB NOT NULL DEFAULT x'',  -- the driver's own
            updated_at REAL NOT NULL         -- seconds since the epoch, for people only
        )""",
        # What an agent of before began may have moved, and nobody wrote down how to go on: it must not begin anew.
        """INSERT INTO checkpoints (task_id, job, file, preamble, updated_at)
            SELECT task_id, '{"job_id":"","task_id":"' || task_id || '","state":"printing"}', '{}', '[]', updated_at
            FROM tasks WHERE state = 'running'""",
    ),
    (
        """CREATE TABLE firmware (
            model TEXT PRIMARY KEY,          -- in lower case
            version TEXT NOT NULL,           -- installed last by firmware_upgrade
            updated_at REAL NOT NULL         -- seconds since the epoch, for people only
        )""",
    ),
    (
        """CREATE TABLE bed (
            id INTEGER PRIMARY KEY CHECK (id = 0),  -- there is one
            state TEXT NOT NULL,             -- core.bed.BedState
            task_id TEXT NOT NULL,           -- of the print that took it last; both empty where nobody knows
            job_id TEXT NOT NULL,
            was_clear INTEGER NOT NULL,      -- before that print
            boot TEXT NOT NULL,              -- when its state changed: which boot, and the
            mono REAL NOT NULL,              -- monotonic clock then
            updated_at REAL NOT NULL         -- seconds since the epoch: over a reboot all there is
        )""",
        # After an upgrade nobody knows whether the part of the last print that there was is off the bed.
        """INSERT INTO bed
            SELECT 0, CASE WHEN held THEN 'printing' ELSE 'not_confirmed' END, task_id,
                COALESCE(NULLIF(json_extract(text, '$.job_id'), ''), task_id), 1, '', 0, updated_at
            FROM (SELECT rowid AS number, task_id, updated_at, state, CAST(command AS TEXT) AS text,
                task_id IN (SELECT task_id FROM checkpoints) AS held FROM tasks)
            WHERE (held OR state IN ('completed', 'failed'))
                AND CASE WHEN json_valid(text) THEN json_extract(text, '$.name') = 'print_data' END
            ORDER BY held DESC, number DESC LIMIT 1""",
    ),
    (
        """CREATE TABLE heat (
            id INTEGER PRIMARY KEY CHECK (id = 1),
            task_id TEXT NOT NULL,           -- of the print or script that may have left heaters on
            updated_at REAL NOT NULL         -- seconds since the epoch, for people only
        )""",
    ),
    (
        """CREATE TABLE overridden (
            key TEXT PRIMARY KEY,            -- a setting that a job has changed
            value BLOB NOT NULL              -- as JSON, what it was before: put back before the next print
        )""",
    ),
    (
        """CREATE TABLE installation (
            id INTEGER PRIMARY KEY CHECK (id = 1),
            task_id TEXT NOT NULL,           -- of the firmware_upgrade that has begun to install
            record BLOB NOT NULL,            -- firmware_table.Installation as JSON
            updated_at REAL NOT NULL         -- seconds since the epoch, for people only
        )""",
    ),
)
VERSION = len(STEPS)


def migrate(db: sqlite3.Connection) -> None:
    """Migrate the tables to VERSION, inside the caller's transaction.

    Raises UnavailableError for a file that a newer agent wrote.
    """
    (version,) = db.execute("PRAGMA user_version").fetchone()
    if version > VERSION:
        raise UnavailableError(f"the state was written by a newer agent (version {version}, this one knows {VERSION})")
    for step in STEPS[version:]:
        for statement in step:
            db.execute(statement)
    db.execute(f"PRAGMA user_version = {VERSION}")
