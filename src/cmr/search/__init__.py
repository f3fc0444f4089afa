"""Searching a data set by a new text or picture, with what a run of a study has learnt."""
