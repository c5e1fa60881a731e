"""From a subcommand and its words to one run, or to a sweep of runs in processes of their own."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Any

from genexp import console
from genexp.api import sweeps
from genexp.api.jobs import Job, Shares, State, end_with_parent, run_jobs
from genexp.api.launchers import hydra_main, run_sweep
from genexp.config.compose import Command, Composed, checked_words, compose_parsed, show
from genexp.config.words import Words
from genexp.errors import UserError
from genexp.interrupts import sigterm_interrupts


def launch(module: ModuleType, command: Command[Any], words: Sequence[str]) -> int:
    """Run a subcommand, a module of `genexp.commands`, and return its exit code."""
    parsed = checked_words(command, words)
    if parsed.cfg:
        sys.stdout.write(show(command, parsed))
        return 0
    if parsed.hydra_only:
        hydra_main(command.name, lambda: None, parsed.raw)
        return 0
    with sigterm_interrupts():
        end_with_parent()
        composed = compose_parsed(command, parsed)
        many = module.many(composed) if hasattr(module, "many") else None
        if many is not None:
            return run_sweep(many)[1]
        if parsed.multirun:
            return one_after_the_other(module, command, parsed, composed)
        return module.run(composed) or 0


def one_after_the_other(module: ModuleType, command: Command[Any], words: Words, composed: Composed[Any]) -> int:
    """Run a command that makes no runs once for each combination of values, after a check of every value."""
    _check_targets(words)
    if not sweeps.runs_here(composed):
        what, hint = f"genexp {command.name} has no launcher", "leave hydra/launcher and hydra/sweeper out"
        raise UserError(what, where="the command line", hint=hint)
    for overrides in words.each_value_once():
        module.check(compose_parsed(command, words, overrides).config)
    flags = ("--config-dir", words.config_dir) if words.config_dir else ()
    jobs = [Job(n, own, None, command.name, flags) for n, own in enumerate(map(sweeps.kept, words.combinations()))]

    def tell(state: State) -> None:
        for job, began in state.running.values():
            if began not in told:
                told.add(began)
                console.say(f"job {job.number}: genexp {job.command} {' '.join(job.words)}", style="bold")

    told: set[float] = set()
    return max((ended.code for ended in run_jobs(jobs, Shares(1, 1), tell)), default=0)


def _check_targets(words: Words) -> None:
    """Raise a UserError if the jobs of a sweep would all write to one place."""
    out = next((o for o in words.overrides if o.key_or_group == "out"), None)
    swept = [o for o in words.overrides if o.is_sweep_override()]
    if out and swept and not out.is_sweep_override() and "${" not in str(out.input_line):
        hint = f"make it depend on what is swept: 'out={out.value()}-${{{swept[0].key_or_group}}}'"
        raise UserError("all jobs of this sweep would write to the same place", received=out.input_line, hint=hint)
