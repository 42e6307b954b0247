"""Images: fetched politely, verified, stored in shards, near-duplicates found."""
