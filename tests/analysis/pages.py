"""Reads the pages that the analysis writes."""

from html.parser import HTMLParser

VOID = {"meta", "img", "link", "br", "input"}


class Page(HTMLParser):
    """The text, the addresses and the rows of a page's tables; fails on a tag that is not closed in order."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.open, self.text, self.addresses, self.rows = [], "", [], []
        self.feed(source)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.addresses += [value for name, value in attrs if name in ("src", "href")]
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        data = data.replace("\N{NO-BREAK SPACE}", " ")
        self.text += data
        if {"td", "th"} & set(self.open):
            self.rows[-1][-1] += data
