"""Pure domain model: commands, tasks, jobs, reports, conditions;
no threads, sockets, files or clocks of its own; standard library and msgspec only."""
