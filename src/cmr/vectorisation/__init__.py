"""Which word vectors put related words closest: the study of vectorisers of IDCMR (its Figure 4)."""
