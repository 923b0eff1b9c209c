"""A self-contained HTML page: one style for tables and reports, on any screen and on paper.

The style is ``page.css``; ``page.js`` sorts and filters the tables.
"""

import base64
import html
import io
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # it takes half a second to import, and a table without figures needs none of it
    from matplotlib.figure import Figure

STYLE, SCRIPT = (Path(__file__).with_name(f"page.{kind}") for kind in ("css", "js"))


def page(title: str, body: str) -> str:
    """Return a whole page, which loads nothing from elsewhere, from HTML: the title is escaped already."""
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
{STYLE.read_text(encoding="utf-8")}</style>
</head>
<body>
<main>
{body}
</main>
<script type="module">
{SCRIPT.read_text(encoding="utf-8")}</script>
</body>
</html>
"""


def write_page(out: Path, title: str, sections: Iterable[tuple[str, str]]) -> Path:
    """Write a page of sections, each a heading and its HTML, and return its file; its folder is made if it is missing.

    The title and the headings are escaped here.
    """
    heading = html.escape(title)
    parts = [f"<section>\n<h2>{html.escape(name)}</h2>\n{content}\n</section>" for name, content in sections]
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(page(heading, "\n".join([f"<h1>{heading}</h1>", *parts])), encoding="utf-8")
    return out


def png(figure: "Figure") -> bytes:
    """Return a figure as the content of a PNG file."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", bbox_inches="tight")
    return buffer.getvalue()


def image(picture: bytes, alternative: str) -> str:
    """Return a picture from :func:`png` as HTML that holds it; the alternative, escaped here, says what it shows."""
    data, width = base64.b64encode(picture).decode(), int.from_bytes(picture[16:20])  # of a PNG file, in pixels
    about = f'alt="{html.escape(alternative)}" style="min-width: min(40rem, {width}px)"'
    return f'<div class="wide figure"><img src="data:image/png;base64,{data}" {about}></div>'
