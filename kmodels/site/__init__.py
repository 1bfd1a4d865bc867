"""A static site of all that is known: no server, nothing fetched, the same bytes for the same results."""

from kmodels.site.build import build_site
from kmodels.site.classes import Labels
from kmodels.site.evidence import Evidence, evidence
from kmodels.site.readme import readme_block, with_block
from kmodels.site.studies import declared_studies

__all__ = ["Evidence", "Labels", "build_site", "declared_studies", "evidence", "readme_block", "with_block"]
