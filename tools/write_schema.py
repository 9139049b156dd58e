"""Write the JSON schema of reports that the package ships, from the structs that read them.

python tools/write_schema.py
"""

from __future__ import annotations

import json
from pathlib import Path

from pytest_applesilicon.reports import document

SCHEMA = Path(document.__file__).with_name("report.schema.json")


def text() -> str:
    """The file as it should be."""
    return json.dumps(document.schema(), indent=1) + "\n"


if __name__ == "__main__":
    SCHEMA.write_text(text(), encoding="utf-8")
    print(SCHEMA)
