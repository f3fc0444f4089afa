"""Views: one modality of a data set as vectors."""
