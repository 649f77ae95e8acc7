"""Many videos at once beside a bare loop, and good videos beside slow links."""
