"""`python -m lab peers`: services in the stacks that people use, right and with bugs; their table."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from lab.peers import PEER_FILE, Peer, every_peer_in, names_meant
from lab.stacks import ExaminedPeer, examine_peer, filled, read_examined
from payments_verify.cli.conformance import progressing
from payments_verify.cli.ends import could_not_run, keep_finished
from payments_verify.cli.exits import leave, no_verdict
from payments_verify.cli.telling import print_error, say
from payments_verify.sources import folder_hash, sources_hash
from pgweave.verdict import Verdict

FOLDER = Path("examples/peers")
OUTPUT = Path("build/peers-examined")
PAGE = Path("specs/stacks.md")


def peers(
    folder: Annotated[Path, typer.Argument(help="Folder of folders with a peer.toml.")] = FOLDER,
    only: Annotated[
        str,
        typer.Option(
            metavar="TEXT",
            help="Only what has this name, or folder; without one, what has it in its name.",
            show_default=False,
        ),
    ] = "",
    again: Annotated[
        bool, typer.Option("--again", help="Also what was examined by this code and is as it should be.")
    ] = False,
    table: Annotated[
        bool, typer.Option("--table", help="Examine nothing: write the rows of what was; others stay.")
    ] = False,
    page: Annotated[Path, typer.Option(help="The page.")] = PAGE,
    output: Annotated[Path, typer.Option(help="Folder for results.jsonl, histories and schedules.")] = OUTPUT,
) -> None:
    """Examine services of others: each reaches its level, and each of their known bugs is found at its own.

    What the machine lacks a tool for is left out, and named. Each result is a line of results.jsonl. A call
    goes on where the last one ended, as long as the code is the same, and behind one that does not start.

    Exit codes: 0 each is as its peer.toml says; 1 one is not; 2 one could not be examined, or none was.
    """
    output.mkdir(parents=True, exist_ok=True)
    file = output / "results.jsonl"
    try:
        every = {each.name: each for each in every_peer_in(folder)}
        wanted = [every[name] for name in names_meant(only, every)]
        done = read_examined(file)
    except ValueError as error:
        print_error(error)
        raise no_verdict() from error
    if not wanted:
        print_error(f"{folder} has no folder with a {PEER_FILE} and {only!r} in its name")
        raise no_verdict()
    if table:
        known = [done[each.name] for each in wanted if each.name in done]
        page.write_text(filled(page.read_text(), known))
        return
    code = sources_hash("lab")
    sources = {each.name: _sources(code, each, folder) for each in wanted}
    todo = [
        each
        for each in wanted
        if each.lacks is None and (again or not _is_done(done.get(each.name), sources[each.name]))
    ]

    current = {name: found for name, found in done.items() if found.sources == sources.get(name)}

    def so_far() -> Verdict:
        return (
            "violated"
            if any(current[each.name].problem for each in wanted if each.name in current)
            else "holds"
        )

    with keep_finished(so_far) as whole:
        for peer in todo:
            with suppress(typer.Exit), could_not_run(), progressing(peer.name) as on_level:
                found = examine_peer(peer, sources=sources[peer.name], folder=output, on_level=on_level)
                current[peer.name] = found
                with file.open("ab") as lines:
                    lines.write(msgspec.json.encode(found) + b"\n")
                _say(found)
    for peer in wanted:
        if peer.lacks is not None:
            say(f"left out: {peer.name}: {peer.lacks} is not there", err=True)
    is_examined = bool(current) and all(each.name in current for each in todo)
    leave(so_far(), is_whole=whole() and is_examined)


def _sources(code: str, peer: Peer, folder: Path) -> str:
    return f"{code}, peer {folder_hash(folder / peer.name.partition(':')[0])}"


def _is_done(found: ExaminedPeer | None, sources: str) -> bool:
    return found is not None and found.problem is None and found.sources == sources


def _say(found: ExaminedPeer) -> None:
    what = "its bug is found at level" if found.is_bug else "level"
    say(f"{found.name}: {what} {found.level}, in {found.seconds:.0f} s", err=True)
    if found.problem is not None:
        say(f"not as it should be:\n{found.problem}", err=True)
