"""For operators: health and metrics over HTTP."""
