"""Architecture search by PC-DARTS: a network of all operations at once, of which the best are kept.

Xu et al., "PC-DARTS: Partial Channel Connections for Memory-Efficient Architecture Search", ICLR 2020
(arXiv:1907.05737); the cells are those of DARTS (Liu, Simonyan, Yang, ICLR 2019, arXiv:1806.09055).
"""
