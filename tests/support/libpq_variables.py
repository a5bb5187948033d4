"""Variables of libpq that are about another server than the one that is meant."""

FOREIGN = {
    "PGHOST": "nowhere.invalid",
    "PGHOSTADDR": "203.0.113.1",
    "PGPORT": "1",
    "PGSERVICE": "none",
    "PGOPTIONS": "-c search_path=elsewhere -c bogus=1",
    "PGSSLMODE": "require",
    "PGCHANNELBINDING": "require",
    "PGREQUIREAUTH": "none",
    "PGTARGETSESSIONATTRS": "read-only",
    "PGCLIENTENCODING": "EUC_TW",
    "PGCONNECT_TIMEOUT": "soon",
    "PGTZ": "nowhere",
    "PGDATESTYLE": "none",
}
