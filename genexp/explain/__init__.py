"""What a model has learned: the effects of bases, motifs and features on its predictions; one method per file."""
