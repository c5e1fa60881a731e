"""What can be done alike with a run and with an ensemble of runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from genexp import console

if TYPE_CHECKING:
    import pandas as pd

    from genexp.api.ensembles import Ensemble
    from genexp.api.explanation import Explanation
    from genexp.api.runs import Run


class Using:
    """What `Run` and `Ensemble` have in common: uses of finished models on other genes."""

    @property
    def _one_or_several(self) -> Run | Ensemble:
        return cast("Run | Ensemble", self)

    def predict_table(self, *, checkpoint: str = "best", progress: bool = True, **keys: Any) -> pd.DataFrame:
        """Predict the expression of the genes of files, with the checks of ``genexp predict``.

        Parameters
        ----------
        checkpoint
            ``best`` or ``last``.
        progress
            Print what is done.
        **keys
            Those of the command but out: ``fasta="promoters.fa", features="halflife.csv"``,
            ``fasta="genome.fa", gtf="genes.gtf", features="mean"``, ``dataset={"root": "elsewhere"}``, and so on.

        Returns
        -------
        DataFrame
            The table that the command writes: id, coordinates, predictions, in the unit of the label too.

        Raises
        ------
        UserError
            As ``genexp predict`` prints it.
        """
        from genexp.api.predicting import called

        with console.quiet(not progress):
            return called(self._one_or_several, checkpoint, keys)

    def scan(self, *, checkpoint: str = "best", progress: bool = True, **keys: Any) -> pd.DataFrame:
        """Predict along a chromosome, on both strands, with the checks of ``genexp scan``.

        Parameters
        ----------
        checkpoint
            ``best`` or ``last``.
        progress
            Print what is done.
        **keys
            Those of the command: ``fasta="genome.fa", region="chr7:27090000-27250000", step=100``, and so on.

        Returns
        -------
        DataFrame
            A row for each position and strand: chromosome, start, end (0-based, half-open: the base that is taken for
            the TSS), strand, the columns of `predict_table`, and ``unknown_bases`` of what the model sees. With
            ``out``, the folder that the command writes is written, too.

        Raises
        ------
        UserError
            As ``genexp scan`` prints it.
        """
        from genexp.api.scanning import called

        with console.quiet(not progress):
            return called(self._one_or_several, checkpoint, keys)

    def variants(self, *, checkpoint: str = "best", progress: bool = True, **keys: Any) -> pd.DataFrame:
        """Predict what variants do to the expression of genes near them, with the checks of ``genexp variants``.

        Parameters
        ----------
        checkpoint
            ``best`` or ``last``.
        progress
            Print what is done.
        **keys
            Those of the command but out: ``vcf="v.vcf.gz", fasta="genome.fa", gtf="genes.gtf"``, and so on.

        Returns
        -------
        DataFrame
            A row for each allele, or haplotype, and each gene whose window it changes: the gene with its place (tss and
            position are counted from 1; distance along the strand from the TSS), ``reference``, ``alternative`` and
            ``difference`` in the unit of the labels of training; of an ensemble ``sd``, the standard deviation of the
            difference, and ``agreement``, the share of members with the sign of the mean. ``log10_difference`` where
            the label is a logarithm of known scale.

        Raises
        ------
        UserError
            As ``genexp variants`` prints it.
        """
        from genexp.api.variant_effects import called

        with console.quiet(not progress):
            return called(self._one_or_several, checkpoint, keys)

    def explain(self, *, out: str | Path | None = None, progress: bool = True, **settings: Any) -> Explanation:
        """Find what the predictions come from: bases, motifs and features.

        Parameters
        ----------
        out
            A folder for arrays, tables and figures; None writes nothing.
        progress
            Print what is done.
        **settings
            Keys of ``genexp explain``: ``methods=["mutagenesis"], most=5, region=[-500, 500]``.

        Returns
        -------
        Explanation
            Its ``contributions`` are arrays, its ``profile``, ``permutation`` and ``insertion`` tables.

        Raises
        ------
        UserError
            As ``genexp explain`` prints it.
        """
        from genexp.api.explaining import explained

        return explained(self._one_or_several, out, settings, progress=progress)
