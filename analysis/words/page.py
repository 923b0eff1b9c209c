"""The frame of a self-contained HTML page: one style for tables and reports, readable on a telephone."""

from __future__ import annotations

import base64
import html
import io

from matplotlib.figure import Figure

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem; padding: 0 1rem; color: #1a1a1a; }}
h1 {{ font-size: 1.6rem; overflow-wrap: anywhere; }} h2 {{ font-size: 1.2rem; margin-top: 2.5rem; }}
h3 {{ font-size: 1rem; margin-top: 1.8rem; }}
.wide {{ overflow-x: auto; }} .wide img {{ min-width: 40rem; }}
table {{ border-collapse: collapse; font-variant-numeric: tabular-nums; }}
th, td {{ padding: .3rem .8rem; text-align: right; white-space: nowrap; border-bottom: 1px solid #ddd; }}
thead th {{ border-top: 2px solid #1a1a1a; border-bottom: 1px solid #1a1a1a; }}
th:first-child, td:first-child, th:last-child, td:last-child, table.text th, table.text td {{ text-align: left; }}
tbody tr:last-child td {{ border-bottom: 2px solid #1a1a1a; }}
tr.win td {{ font-weight: 600; }}
p, li {{ max-width: 48rem; overflow-wrap: anywhere; }} img {{ max-width: 100%; height: auto; }}
</style>
</head>
<body>
{body}
</body>
</html>
"""


def page(title: str, body: str) -> str:
    """Return a whole page.

    Args:
        title: escaped by the caller.
        body: HTML.
    """
    return _PAGE.format(title=title, body=body)


def png(figure: Figure) -> bytes:
    """Return a figure as the content of a PNG file."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", bbox_inches="tight")
    return buffer.getvalue()


def image(picture: bytes, alternative: str) -> str:
    """Return a picture as a piece of a page that contains the image itself.

    Args:
        picture: from :func:`png`.
        alternative: what it shows, for readers who cannot see it; escaped here.
    """
    data = base64.b64encode(picture).decode()
    return f'<div class="wide"><img src="data:image/png;base64,{data}" alt="{html.escape(alternative)}"></div>'
