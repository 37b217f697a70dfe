"""serve: the web page, on this machine only."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from flopwise.errors import FlopwiseError

if TYPE_CHECKING:
    from flopwise.web.server import Server

USUAL = 8470


@click.command()
@click.option("--port", type=click.IntRange(0, 65535), help=f"{USUAL}, or another that is free.")
@click.option("--no-browser", is_flag=True, help="Print the address and open nothing.")
@click.option("--max-upload", default="2GiB", metavar="SIZE", help="The largest file; 2GiB.")
def serve(port: int | None, no_browser: bool, max_upload: str) -> None:
    """The web page: drop a model file, see its report. Ctrl-C ends it."""
    import webbrowser

    from flopwise.analyses.budget import quantity

    limit = int(quantity(max_upload))
    if limit < 1:
        raise FlopwiseError(f"--max-upload {max_upload}: must be at least one byte")
    with listening(port, limit) as server:
        click.echo(f"{server.url}  (Ctrl-C ends it)")
        if not no_browser:
            webbrowser.open(server.url)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            click.echo()


def listening(port: int | None, limit: int) -> Server:
    """A server on the port; where none is asked for and the usual one is taken, on another.
    Raises FlopwiseError."""
    from flopwise.web.server import Server

    for tried in (USUAL, 0) if port is None else (port,):
        try:
            return Server(tried, limit)
        except OSError as error:
            reason = error.strerror or error
    raise FlopwiseError(f"--port {port}: {reason}")
