"""Files that are looked at and not kept: beside those of the store, gone with their folder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from api.service.context import Service
from api.store.files import FileStore
from reference_tables.problems import TablesRefused


class _Beside(FileStore):
    """What is written goes into a folder of its own; what is read may be in the store, too."""

    def __init__(self, folder: Path, kept: FileStore) -> None:
        super().__init__(folder)
        self._kept = kept

    def path(self, sha256: str) -> Path:
        """As of any store. Raises TablesRefused (SV59)."""
        try:
            return super().path(sha256)
        except TablesRefused:
            return self._kept.path(sha256)


@contextmanager
def looking(service: Service) -> Iterator[Service]:
    """The service, but that nothing of what is written into its files stays."""
    with TemporaryDirectory(dir=service.work) as folder:
        yield replace(service, files=_Beside(Path(folder), service.files))
