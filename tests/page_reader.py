"""Reads an HTML page strictly: what a browser would mend in silence is an error here."""

from html.parser import HTMLParser

_VOID = {"meta", "link", "img", "input", "br"}


class Page(HTMLParser):
    """A page's links, ids, images, tags and the text of its table cells.

    Raises:
        AssertionError: tags do not nest, or an id comes twice.
    """

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.open, self.ids, self.links, self.images, self.tags = [], [], [], [], []
        self.rows, self.text, self._cell = [], [], None
        self.feed(text)
        self.close()
        assert self.open == [], self.open
        assert len(set(self.ids)) == len(self.ids)

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        assert len(found) == len(attributes), (tag, attributes)
        self.tags.append((tag, found))
        if "id" in found:
            self.ids.append(found["id"])
        self.links += [found[name] for name in ("href", "src") if name in found]
        if tag == "img":
            self.images.append(found)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self._cell = []
        if tag not in _VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open and self.open.pop() == tag, (tag, self.open)
        if tag in ("td", "th"):
            self.rows[-1].append(" ".join("".join(self._cell).split()))
            self._cell = None

    def handle_data(self, data):
        self.text.append(data)
        if self._cell is not None:
            self._cell.append(data)

    @property
    def words(self):
        return " ".join("".join(self.text).split())
