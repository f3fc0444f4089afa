"""Paper studies: what five papers print, beside what is measured here."""
