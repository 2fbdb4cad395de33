"""The door of the importers: one for each client, found by its name or by what lies at a path."""

from strop.agents.importers.files import json_values
from strop.agents.importers.recognition import IMPORTERS, importer_for, recognise

__all__ = ["IMPORTERS", "importer_for", "json_values", "recognise"]
