"""Views of texts. What learns from texts learns from the train part of a split only."""
