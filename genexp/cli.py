"""The command line: finds the subcommand, answers help at once, and turns every error into an exit code."""

from __future__ import annotations

import sys
import traceback
from importlib import import_module

from genexp.errors import UserError, nearest

#: Subcommands in the order in which people need them, with one line each.
COMMANDS: dict[str, str] = {
    "train": "one run, end to end: dataset, model, training, metrics and plots in a run directory",
    "evaluate": "metrics, predictions and plots again from a finished run",
    "prepare": "raw files (FASTA, GTF, tables) or Xpresso's table to a dataset, for any organism",
    "embed": "k-mer vectors by Word2Vec from scratch, and the embedded dataset",
    "import": "a published checkpoint (SavedModel, .h5, .keras) to a run directory",
    "export": "a run's model as .keras, SavedModel or ONNX, compared with the original",
    "completion": "shell completion: genexp completion bash|zsh|fish",
}

EXIT_DONE, EXIT_BUG, EXIT_USER, EXIT_INTERRUPTED = 0, 1, 2, 130


def main(words: list[str] | None = None) -> int:
    """Run the command line and return the exit code.

    0 done, 2 a mistake that the user can mend, 1 a bug of genexp, 130 interrupted.
    """
    words = sys.argv[1:] if words is None else words
    try:
        return dispatch(words)
    except UserError as error:
        from genexp.console import fail

        if any(word.lower() == "hydra.verbose=true" for word in words):
            traceback.print_exc()
        fail(str(error))
        return EXIT_USER
    except KeyboardInterrupt as error:
        if not error.args:  # a run has said so itself, and how to go on
            sys.stderr.write("interrupted; nothing half-written is left: to begin again, give the same command\n")
        return EXIT_INTERRUPTED
    except MemoryError as error:
        from genexp.console import fail

        short = UserError(
            "this needs more memory than there is",
            where="sizes in the config",
            received=error or "no more to be had",
            do="choose smaller ones (embed_dim, dimension, batch_size), a shorter window or fewer genes",
        )
        fail(str(short))
        return EXIT_USER
    except BrokenPipeError:  # the reader of `genexp ... | head` has gone
        sys.stderr.close()
        return EXIT_DONE
    except Exception:  # noqa: BLE001 - the last stop: report it as ours
        traceback.print_exc()
        from genexp.console import fail

        fail("this is a bug in genexp; please report it with the lines above and the run directory")
        return EXIT_BUG


def dispatch(words: list[str]) -> int:
    """Find the subcommand and run it."""
    if not words or words[0] in ("--help", "-h", "help"):
        from genexp.help import overview

        print(overview(COMMANDS))  # noqa: T201
        return EXIT_DONE
    command, rest = words[0], words[1:]
    if command == "--version":
        from genexp import __version__

        print(f"genexp {__version__}")  # noqa: T201
        return EXIT_DONE
    if command not in COMMANDS:
        raise UserError(
            f"there is no command {command}",
            where="the command line",
            expected=f"one of {', '.join(COMMANDS)}",
            received=command,
            do=f"{nearest(command, COMMANDS)}see genexp --help",
        )
    if any(word in ("--help", "-h") for word in rest):
        from genexp.help import command_help

        print(command_help(command, COMMANDS[command], rest))  # noqa: T201
        return EXIT_DONE
    if command == "completion":
        return import_module("genexp.commands.completion").run(rest)
    from genexp.hydra_app import execute

    return execute(command, rest)
