"""Pictures of a schedule: who did what in which order, as text, SVG and HTML."""
