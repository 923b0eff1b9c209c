"""Tables and captions as text, Markdown, LaTeX and HTML."""
