"""The command that adds a missing package to the very installation that runs."""

from __future__ import annotations

import importlib.metadata
import json
import shlex
import sys
from urllib.parse import unquote, urlsplit


def pip(requirement: str, *options: str) -> str:
    """The line that installs `requirement` where this interpreter finds it.

    >>> pip("unicorn==2.1.4").endswith(" -m pip install unicorn==2.1.4")
    True
    """
    return shlex.join([sys.executable or "python3", "-m", "pip", "install", *options, requirement])


def extra(name: str) -> str:
    """The line that adds the extra `name` of hyper-mcu.

    It comes from the checkout, repository or file that hyper-mcu was installed from, which pip recorded (PEP 610), or
    else from the package index.
    """
    try:
        origin = json.loads(importlib.metadata.distribution("hyper-mcu").read_text("direct_url.json") or "{}")
    except importlib.metadata.PackageNotFoundError:
        origin = {}
    url = urlsplit(origin.get("url", ""))
    if url.scheme == "file":
        editable = origin.get("dir_info", {}).get("editable", False)
        return pip(f"{unquote(url.path)}[{name}]", *(["-e"] if editable else []))
    vcs = origin.get("vcs_info")
    source = f"{vcs['vcs']}+{url.geturl()}@{vcs['commit_id']}" if vcs else url.geturl()
    return pip(f"hyper-mcu[{name}]" + (f" @ {source}" if source else ""))
