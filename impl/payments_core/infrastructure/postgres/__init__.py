"""The PostgreSQL adapter: schema, migrations, unit of work."""
