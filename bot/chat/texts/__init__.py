"""Every sentence that a user reads: replies, cards and lists, result messages."""
