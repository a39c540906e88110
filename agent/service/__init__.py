"""The process and its host: configuration, logs, health, systemd."""
