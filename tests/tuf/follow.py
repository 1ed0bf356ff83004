"""Lets python-tuf's own client follow a repository in a directory.

usage: follow.py ROOT REPOSITORY TARGET

Prints the content of the target; fails when python-tuf refuses anything.
"""

import sys
import tempfile
from pathlib import Path
from urllib.parse import unquote, urlsplit

from tuf.api.exceptions import DownloadHTTPError
from tuf.ngclient import Updater
from tuf.ngclient.fetcher import FetcherInterface


class DirectoryFetcher(FetcherInterface):
    def __init__(self, directory: Path):
        self.directory = directory

    def _fetch(self, url):
        path = self.directory / unquote(urlsplit(url).path).lstrip("/")
        if not path.is_file():
            raise DownloadHTTPError("no such file", 404)
        yield path.read_bytes()


def main() -> None:
    root, repository, target = sys.argv[1:]
    with tempfile.TemporaryDirectory() as scratch:
        trusted, downloads = Path(scratch, "trusted"), Path(scratch, "downloads")
        trusted.mkdir()
        downloads.mkdir()
        updater = Updater(
            str(trusted),
            "http://directory/metadata/",
            str(downloads),
            "http://directory/targets/",
            DirectoryFetcher(Path(repository)),
            bootstrap=Path(root).read_bytes(),
        )
        updater.refresh()
        info = updater.get_targetinfo(target)
        if info is None:
            sys.exit(f"python-tuf finds no {target}")
        print(Path(updater.download_target(info)).read_text(encoding="utf-8"), end="")


if __name__ == "__main__":
    main()
