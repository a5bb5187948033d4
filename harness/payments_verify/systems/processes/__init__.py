"""The service's commands, run as processes: settings, starts, migrations, several workers."""
