"""The page that shows what was found: one file that loads nothing, made from saved data alone."""
