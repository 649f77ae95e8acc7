"""What a poll costs: in one process beside a bare loop, and in several over one PostgreSQL."""
