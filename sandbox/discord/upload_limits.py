"""How large an attachment may be, by a server's premium tier."""

MIB = 1024 * 1024
DEFAULT_UPLOAD_LIMIT = 20 * MIB
UPLOAD_LIMITS = {2: 50 * MIB, 3: 100 * MIB}
