"""The demo: the real bot against the stand-ins, as a page in the browser or as a story in the terminal."""
