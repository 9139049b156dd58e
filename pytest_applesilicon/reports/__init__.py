"""Records in, text out: the terminal table and the JSON document."""
