"""Alerts for new research papers: listing pages in, digests by mail and feed out. Start reading at `pipeline.py`."""

__version__ = "0.1.0"
