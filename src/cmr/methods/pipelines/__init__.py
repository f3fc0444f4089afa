"""Methods of several stages, each trained on the output of those before it, and the stages that they share."""
