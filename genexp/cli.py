"""The command line: finds the subcommand, answers help at once, and turns every error into an exit code."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Sequence

from genexp import commands
from genexp.errors import UserError

EXIT_DONE, EXIT_BUG, EXIT_USER, EXIT_INTERRUPTED = 0, 1, 2, 130


def main(words: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code.

    0 done, 2 an error that the user can correct, 1 an internal error, 130 interrupted.
    """
    words = sys.argv[1:] if words is None else list(words)
    try:
        return dispatch(words)
    except UserError as error:
        if any(word.lower() == "hydra.verbose=true" for word in words):
            traceback.print_exc()
        return _fail(error)
    except KeyboardInterrupt as error:
        if not error.args:  # a run has reported it itself, with the command that resumes it
            sys.stderr.write("interrupted; nothing half-written is left: to start again, give the same command\n")
        return EXIT_INTERRUPTED
    except MemoryError as error:
        hint = "choose smaller sizes (embed_dim, dimension, batch_size), a shorter window or fewer genes"
        return _fail(UserError("this needs more memory than there is", received=str(error) or None, hint=hint))
    except BrokenPipeError:  # the reader of `genexp ... | head` has gone
        sys.stderr.close()
        return EXIT_DONE
    except Exception as error:  # noqa: BLE001 - the last stop: report it as an internal error
        from genexp.files import unwritable

        if found := unwritable(error):
            return _fail(found)
        traceback.print_exc()
        _fail("this is a bug in genexp; please report it with the lines above and the run directory")
        return EXIT_BUG


def _fail(message: object) -> int:
    from genexp.console import fail

    fail(str(message))
    return EXIT_USER


def dispatch(words: Sequence[str]) -> int:
    """Find the subcommand and run it."""
    if not words or words[0] in ("--help", "-h", "help"):
        from genexp.config.help import overview

        print(overview(commands.summaries()))  # noqa: T201
        return EXIT_DONE
    name, rest = words[0], words[1:]
    if name == "--version":
        from genexp.version import __version__

        print(f"genexp {__version__}")  # noqa: T201
        return EXIT_DONE
    module = commands.load(name)
    if any(word in ("--help", "-h") for word in rest):
        from genexp.config.help import command_help

        makes_runs = getattr(module, "MAKES_RUNS", False)
        print(command_help(name, commands.summaries()[name], module.EXAMPLES, rest, makes_runs=makes_runs))  # noqa: T201
        return EXIT_DONE
    if not hasattr(module, "Config"):
        return int(module.run_words(rest))
    from genexp.launch import launch

    return launch(module, commands.command_of(name), rest)
