"""Raw files (FASTA, GTF, tables) to a dataset."""
