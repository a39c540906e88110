"""HTTP with bounds: the one place that makes the sessions of the agent, and the check of addresses that others name."""
