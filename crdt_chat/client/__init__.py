"""The Python peer: a page that a program or a notebook edits, offline too."""
