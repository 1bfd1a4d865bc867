"""From runs to tables and figures; nothing here trains."""
