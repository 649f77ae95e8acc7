"""Discord: the client, its commands and buttons, posting, and every sentence that a user reads."""
