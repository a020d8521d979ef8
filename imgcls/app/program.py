"""Hydra set-up: where ``conf/`` is, typed configurations, clear messages.

Entry points are decorated with ``entry_point``; what they receive has been composed, typed and is
free of missing values, and nothing of Paddle has been imported by then.
"""

import contextlib
import errno
import os
import re
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from functools import cache, partial, wraps
from pathlib import Path
from typing import Any

import hydra
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException, MissingConfigException
from hydra.types import RunMode
from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import (
    ConfigKeyError,
    GrammarParseError,
    InterpolationResolutionError,
    OmegaConfBaseException,
    ValidationError,
)

from imgcls.app.channels import with_colours_of_its_channels
from imgcls.app.combinations import check
from imgcls.app.conf import conf_directory, known_rows
from imgcls.app.default_recipe import is_told_nothing, with_default_recipe
from imgcls.app.keys import SCHEMAS
from imgcls.app.model_group import register_sources
from imgcls.app.named_files import require_named_files
from imgcls.app.overrides import canonical, imports, unknown_choice, unknown_key
from imgcls.app.pretrained import as_its_weights_see
from imgcls.app.run_name import require_run_name
from imgcls.app.submitted_jobs import queued_again
from imgcls.errors import USER_ERROR_STATUS, Interrupted, UserError, listed
from imgcls.machine import installation
from imgcls.machine.installation import versions
from imgcls.machine.modules import import_modules
from imgcls.machine.processes import end_before_destructors
from imgcls.machine.signals import interruptible
from imgcls.machine.streams import finished, prepare_streams
from imgcls.machine.text import escape_controls
from imgcls.run import launcher as launch
from imgcls.run.lock import held

NO_SUCH_CHOICE = re.compile(r"Could not (?:find|load) '(?P<group>[^']+)/(?P<choice>[^'/]+)'")
RESULTS = {"train": "checkpoints", "eval": "per_class.csv", "verify": "report.csv"}
"""Programs that write a ``summary.json``, and by what else their directories are known."""

HOLD_THEIRS = ("train", "export")
"""Programs that see to it themselves that nobody else writes what they write."""

failures: dict[int, Exception] = {}
"""Jobs of this process that have failed, by their number in the sweep."""

checks: list[Callable[[DictConfig], None]] = []
"""What the configuration of this process's program must pass; see ``check_before_writing``."""

_checked: list[tuple[str, dict[str, Any], DictConfig]] = []
"""Of this process's only job: where it was checked, what had been composed, and what that is when it is typed."""

when_broken_off: list[Callable[[], None]] = []
"""What is still to be done for a sweep whose launcher fails."""

LAUNCHERS_OWN = ("TerminatedWorkerError", "UncompletedJobError", "FailedJobError")
"""What launchers raise when the process of a job was killed."""

LONGEST_LINE = 2000
"""Characters of a message's line that are shown: a file may be a single one."""

HYDRAS_OWN = ("See https", "full_key:", "object_type=", "reference_type=")
"""How lines of its messages begin that tell a user nothing."""

SYSTEM_ERRORS = (
    *(errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.ESTALE),
    *(errno.EEXIST, errno.ENAMETOOLONG, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.EMFILE),
)
"""Errors of the system that say all there is to say: no permission, read-only, disk full, a file for a directory."""


def entry_point(name: str) -> Callable:
    """Make a function of one configuration the program ``python -m imgcls.<name>``."""

    def decorate(function: Callable[[DictConfig], float | None]) -> Callable[[], None]:
        @wraps(function)
        def main() -> None:
            prepare_streams()
            installation.in_program = True
            try:
                status = _run(name, function)
            except SystemExit as end:  # of Hydra's own flags
                status = end.code
            if launch.in_rank():
                end_before_destructors()
            sys.exit(finished(status))

        return main

    return decorate


@contextlib.contextmanager
def _written_alone(name: str) -> Iterator[None]:
    """Nobody else writes where this job does, and what another program wrote there is left alone.

    Raises:
        UserError: somebody does, or something is there.
    """
    directory = output_directory()
    others = [other for other, result in RESULTS.items() if other != name and (directory / result).exists()]
    if name in RESULTS and others:
        raise UserError(f"{directory} holds results of imgcls.{others[0]}. Choose another run.name.")
    with contextlib.nullcontext() if name in HOLD_THEIRS else held(directory):
        yield


def output_directory() -> Path:
    """Where Hydra lets this job write."""
    return Path(HydraConfig.get().runtime.output_dir)


def given_keys() -> list[str]:
    """The keys that this job's command sets, groups among them."""
    return [override.lstrip("+~").split("=", 1)[0] for override in HydraConfig.get().overrides.task]


def typed(config: DictConfig, name: str, own_metrics: bool = False, given: Iterable[str] = ()) -> DictConfig:
    """The composed configuration merged into its schema, resolved, without keys its group does not have.

    Of a run that goes on, what the command does not give is that of its checkpoint.

    Args:
        own_metrics: see ``check``.
        given: keys that are set beside those of the command.

    Raises:
        UserError: unknown key, wrong type, value missing or out of range.
    """
    require_run_name(config)
    result = _typed(config, name, given)
    if name == "train" and HydraConfig.initialized():
        if result.trainer.resume == "auto" and not _is_named(config):
            raise UserError("trainer.resume=auto goes on with the run of that name: add run.name=<its name>.")
        result = _begun_or_continued(result, [*given_keys(), *given], own_callbacks=own_metrics)
    check(result, name, own_metrics)
    return result


def _begun_or_continued(config: DictConfig, keys: list[str], own_callbacks: bool) -> DictConfig:
    """A training as its run recorded it, if that goes on; by the default recipe where the command leaves all open."""
    resume, result = config.trainer.resume, config
    if resume is not None:
        from imgcls.app.continuation import continued

        def compose(chosen: list[str]) -> DictConfig:
            return _typed(hydra.compose("train", chosen), "train")

        overrides = list(HydraConfig.get().overrides.task)
        result = continued(config, _run_directory(config), overrides, keys, compose)
    goes_on = result is not config or resume not in (None, "auto")
    return result if goes_on or own_callbacks or not is_told_nothing(keys) else with_default_recipe(result)


def _is_named(config: DictConfig) -> bool:
    """Whether a composed configuration says which run it is, not by the time; a sweep does by its directory."""
    by_time = "${now:" in str(OmegaConf.to_container(config.run, resolve=False)["name"])
    settings = HydraConfig.get()
    by_directory = any(one.lstrip("+").startswith("hydra.run.dir=") for one in settings.overrides.hydra)
    return not by_time or "run.name" in given_keys() or by_directory or settings.mode is RunMode.MULTIRUN


def _typed(config: DictConfig, name: str, given: Iterable[str] = ()) -> DictConfig:
    sections = SCHEMAS[name].__dataclass_fields__
    plain = OmegaConf.create({key: config[key] for key in config if key in sections})
    try:
        result = OmegaConf.merge(_schema(name), plain)
    except ValidationError as error:
        raise UserError(_wrong_type(error, plain, name)) from error
    required = sorted(OmegaConf.missing_keys(plain))
    if required:
        raise UserError(f"{required[0]} is required: add {required[0]}=... to the command.")
    result = OmegaConf.masked_copy(result, list(plain))
    _drop_missing(result)
    own = {*given, *(given_keys() if HydraConfig.initialized() else ())}
    as_its_weights_see(result, name, own)
    with_colours_of_its_channels(result, own)
    OmegaConf.resolve(result)
    return result


@cache
def _schema(name: str) -> DictConfig:
    return OmegaConf.structured(SCHEMAS[name])


def _run_directory(config: DictConfig) -> Path:
    """Of the run, also before it is made, and on ranks that do not write to it."""
    settings = HydraConfig.get()
    if launch.in_rank() and not launch.is_first():
        return Path(config.run.root, config.run.name)
    known = not OmegaConf.is_missing(settings.runtime, "output_dir")
    return Path(settings.runtime.output_dir if known else settings.run.dir)


def _run(name: str, function: Callable[[DictConfig], float | None]) -> int:
    """Compose, run, and turn what went wrong into a message and an exit status."""
    if "--version" in sys.argv[1:]:
        print(versions())
        return 0
    register_sources()
    # Hydra would otherwise print and exit by itself; the messages below are ours.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    failures.clear()
    when_broken_off.clear()
    try:
        modules = imports(sys.argv[1:])
        import_modules(modules)
        job = _Job(name, function, modules)
        sys.argv[1:] = canonical(sys.argv[1:], name)
        if launch.in_rank() and not launch.is_first():
            sys.argv.append(f"hydra.run.dir={tempfile.mkdtemp()}")  # rank 0 makes the run's directory
        with interruptible():
            _run_with_hydra(job)
    except HydraException as error:
        return report(error, name)
    except OSError as error:  # from Hydra, since jobs report their own: the directory could not be made
        where = error.filename or "The working directory"
        return report(UserError(f"{where}: {error.strerror}. Choose another directory with run.root=..."))
    except (Exception, Interrupted) as error:
        if isinstance(error, Exception):
            for task in [*when_broken_off]:
                task()
        return report(error, name)
    if len(failures) > 1 or any(failures):
        print(f"Failed jobs of this sweep: {listed(failures)}", file=sys.stderr)
    return max((exit_status(error) for error in failures.values()), default=0)


class _Job:
    """What Hydra runs with each configuration, in this process or, as its launcher likes, in another.

    Args:
        name: of the program.
        function: does its work.
        modules: that the user has named; another process imports them as it receives this.
    """

    def __init__(self, name: str, function: Callable[[DictConfig], float | None], modules: list[str]):
        self.name, self.function, self.modules = name, function, modules

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        register_sources()
        import_modules(self.modules)

    def __call__(self, config: DictConfig) -> float | None:
        # Raised through Hydra, an error would get Hydra's own words on top; a sweep goes on after one.
        try:
            settings = require_named_files(_typed_before(config) or typed(config, self.name))
            with queued_again(), interruptible(), _written_alone(self.name):
                return self.function(settings)
        except Exception as error:
            number = HydraConfig.get().job.num if HydraConfig.get().mode is RunMode.MULTIRUN else 0
            failures[number] = error
            report(error, self.name)
            return None
        finally:
            with contextlib.suppress(OSError):
                output_directory().rmdir()  # where nothing was written


class _Refused(BaseException):
    """What a configuration is refused with; a callback of Hydra's that raises an ``Exception`` is a warning."""

    def __init__(self, error: Exception):
        super().__init__(error)
        self.error = error


def _run_with_hydra(job: _Job) -> None:
    """What ``hydra.main`` does; a command without options of Hydra's is composed once for it, not twice."""
    directory, words = str(conf_directory()), sys.argv[1:]
    checks[:] = [partial(_check, job.name)]
    try:
        if any(word.lstrip("+").startswith(("-", "hydra.mode=")) for word in words):
            hydra.main(version_base="1.3", config_path=directory, config_name=job.name)(job)()
        else:
            with hydra.initialize_config_dir(directory, job.name, version_base="1.3"):
                GlobalHydra.instance().hydra.run(job.name, job, words)
    except _Refused as refused:
        raise refused.error from None
    finally:
        checks.clear()
        _checked.clear()


def check_before_writing(config: DictConfig) -> None:
    """Refuse what cannot be run before Hydra makes its directory, so that a mistake leaves nothing behind.

    Args:
        config: composed, with Hydra's own section.
    """
    for check_one in checks:
        try:
            check_one(config)
        except Exception as error:
            raise _Refused(error) from error


def _check(name: str, config: DictConfig) -> None:
    settings = HydraConfig.instance()
    before = settings.cfg
    try:
        settings.set_config(config)
        result = require_named_files(typed(config, name))
        _checked[:] = [(os.getcwd(), _plain(config), result)]
    finally:
        settings.cfg = before


def _typed_before(config: DictConfig) -> DictConfig | None:
    """What a job's configuration was found to be when it was checked; ``None`` if it may be another since.

    It is where the directory made for the job names it, or is the one where the job works.
    """
    for directory, plain, result in _checked:
        if directory == os.getcwd() and plain == _plain(config):
            return result
    return None


def _plain(config: DictConfig) -> dict[str, Any]:
    """The content of a configuration as it is written, without Hydra's own section."""
    return {key: value for key, value in OmegaConf.to_container(config).items() if key != "hydra"}


def report(error: BaseException, program: str = "train") -> int:
    """Print what a person needs and return the exit status; bugs keep their traceback."""
    message = str(error) if isinstance(error, Interrupted) else user_message(error, program)
    if message is None:
        sys.excepthook(type(error), error, error.__traceback__)
    else:
        lines = escape_controls(message, lines=True).split("\n")
        message = "\n".join(line if len(line) <= LONGEST_LINE else f"{line[:LONGEST_LINE]}..." for line in lines)
        print(message if isinstance(error, Interrupted) else f"error: {message}", file=sys.stderr)
    return exit_status(error)


def exit_status(error: BaseException) -> int:
    """What a program ends with after an error: that of a mistake of the user's, or of a bug."""
    if isinstance(error, Interrupted):
        return error.status
    return 1 if user_message(error) is None else USER_ERROR_STATUS


def user_message(error: BaseException, program: str = "train") -> str | None:
    """The message for a mistake in the command or the data; ``None`` for a bug."""
    if isinstance(error, UserError):
        return str(error)
    if type(error).__name__ in LAUNCHERS_OWN:
        return (
            "The process of a job ended early: it was killed, or ran out of memory or time. Jobs that ended are in the "
            "leaderboard. The same command with hydra.sweep.dir=<the sweep's> trainer.resume=auto goes on."
        )
    cause = error.__cause__ if isinstance(error.__cause__, OmegaConfBaseException) else error
    if isinstance(cause, InterpolationResolutionError | GrammarParseError):
        return _broken_reference(cause)
    if isinstance(cause, ConfigKeyError | AttributeError) and getattr(cause, "full_key", None):
        return unknown_key(cause.full_key, program, known=[str(key) for key in cause.parent_node or ()] or None)
    if isinstance(error, MissingConfigException) and (match := NO_SUCH_CHOICE.search(str(error))):
        return unknown_choice(match["group"], match["choice"], error.options or [], program)
    if isinstance(cause, ValidationError) and cause.full_key:
        return f"{cause.full_key}: {str(cause).splitlines()[0]}"
    if isinstance(error, HydraException | OmegaConfBaseException):
        lines = [line.strip() for line in str(error).splitlines()]
        return " ".join(line for line in lines if line and not line.startswith(HYDRAS_OWN))
    if isinstance(error, UnicodeEncodeError) and (encoding := sys.getfilesystemencoding()) != "utf-8":
        return f"In this locale ({encoding}) no file can be called {error.object!r}. Leave PYTHONUTF8=0 out."
    if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno == errno.ENOMEM):
        return (
            "There is not enough memory. Smaller batches, smaller pictures (transform.size) or fewer workers need less."
        )
    if isinstance(error, OSError) and error.errno in SYSTEM_ERRORS:
        return f"{error.filename or 'Writing failed'}: {error.strerror}."
    return None


def _wrong_type(error: ValidationError, config: DictConfig, program: str) -> str:
    key = (error.full_key or "").partition("[")[0]
    row = known_rows(program).get(key)
    if row is None:
        return f"{key or 'The configuration'}: {str(error).splitlines()[0]}"
    value = OmegaConf.select(config, key, throw_on_missing=False)
    shown = str(value).replace("'", "") if isinstance(value, ListConfig | DictConfig) else value
    return f"{key}={shown}: must {row.must()}. {row.note}".rstrip()


def _broken_reference(error: OmegaConfBaseException) -> str:
    name = re.search(r"'([^']*)'", str(error))
    where = f"{error.full_key}: " if error.full_key else ""
    return (
        f"{where}the reference to '{name[1] if name else '...'}' leads nowhere. ${{model.name}} stands for the value "
        "of another key, ${oc.env:HOME} for an environment variable."
    )


def _drop_missing(config: DictConfig) -> None:
    """Remove keys that this choice of a group does not have (they are only in the schema's union)."""
    OmegaConf.set_struct(config, False)
    for key in list(config):
        if OmegaConf.is_missing(config, key):
            OmegaConf.set_readonly(config, False)
            del config[key]
        elif isinstance(config[key], DictConfig):
            _drop_missing(config[key])
