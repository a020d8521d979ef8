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
from collections.abc import Callable
from functools import wraps
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException, MissingConfigException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import ConfigKeyError, OmegaConfBaseException, ValidationError

from imgcls.app.combinations import check
from imgcls.app.keys import SCHEMAS
from imgcls.app.model_group import register_model_group
from imgcls.app.overrides import canonical, imports
from imgcls.errors import USER_ERROR_STATUS, Interrupted, UserError, close_matches
from imgcls.machine.modules import import_modules
from imgcls.machine.streams import prepare_streams
from imgcls.machine.text import escape_controls
from imgcls.run import launcher as launch
from imgcls.run.signals import interruptible

NO_SUCH_CHOICE = re.compile(r"Could not (?:find|load) '(?P<group>[^']+)/(?P<choice>[^'/]+)'")
SYSTEM_ERRORS = (errno.EACCES, errno.EROFS, errno.ENOSPC, errno.EDQUOT)
"""Errors of the system that say all there is to say: no permission, read-only, disk full."""


def conf_directory() -> Path:
    """``conf/`` beside the package in a checkout, inside it in an installed wheel."""
    package = Path(__file__).parents[1]
    inside = package / "conf"
    return inside if inside.is_dir() else package.parent / "conf"


def entry_point(name: str, first_word: str | None = None) -> Callable:
    """Make a function of one configuration the program ``python -m imgcls.<name>``.

    Args:
        first_word: the key that a first argument without a key is for.
    """

    def decorate(function: Callable[[DictConfig], float | None]) -> Callable[[], None]:
        @wraps(function)
        def main() -> None:
            prepare_streams()
            if first_word and sys.argv[1:] and re.fullmatch(r"\w+", sys.argv[1]):
                sys.argv[1] = f"{first_word}={sys.argv[1]}"
            sys.exit(_run(name, function))

        return main

    return decorate


def output_directory() -> Path:
    """Where Hydra lets this job write."""
    return Path(HydraConfig.get().runtime.output_dir)


def given_keys() -> list[str]:
    """The keys that this job's command sets, groups among them."""
    return [override.lstrip("+~").split("=", 1)[0] for override in HydraConfig.get().overrides.task]


def typed(config: DictConfig, name: str) -> DictConfig:
    """The composed configuration merged into its schema, resolved, without keys its group does not have.

    Raises:
        UserError: unknown key, wrong type, value missing or out of range.
    """
    schema = OmegaConf.structured(SCHEMAS[name])
    sections = SCHEMAS[name].__dataclass_fields__
    plain = OmegaConf.create({key: config[key] for key in config if key in sections})
    result = OmegaConf.merge(schema, plain)
    required = sorted(OmegaConf.missing_keys(plain))
    if required:
        raise UserError(f"{required[0]} is required: add {required[0]}=... to the command.")
    result = OmegaConf.masked_copy(result, list(plain))
    _drop_missing(result)
    OmegaConf.resolve(result)
    check(result, name)
    return result


def _run(name: str, function: Callable[[DictConfig], float | None]) -> int:
    """Compose, run, and turn what went wrong into a message and an exit status."""
    register_model_group()
    # Hydra would otherwise print and exit by itself; the messages below are ours.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    errors: dict[int, Exception] = {}

    def job(config: DictConfig) -> float | None:
        # Raised through Hydra, an error would get Hydra's own words on top; a sweep goes on after one.
        try:
            return function(typed(config, name))
        except Exception as error:
            number = HydraConfig.get().job.num if HydraConfig.get().mode is RunMode.MULTIRUN else 0
            errors[number] = error
            report(error)
            return None
        finally:
            with contextlib.suppress(OSError):
                output_directory().rmdir()  # where nothing was written

    try:
        import_modules(imports(sys.argv[1:]))
        sys.argv[1:] = canonical(sys.argv[1:])
        if launch.in_rank() and not launch.is_first():
            sys.argv.append(f"hydra.run.dir={tempfile.mkdtemp()}")  # rank 0 makes the run's directory
        directory = str(conf_directory())
        if not any(argument.startswith("-") for argument in sys.argv[1:]):
            _check_before_writing(directory, name)
        with interruptible():
            hydra.main(version_base="1.3", config_path=directory, config_name=name)(job)()
    except HydraException as error:
        return report(error)
    except OSError as error:  # from Hydra, since jobs report their own: the directory could not be made
        where = error.filename or "The working directory"
        return report(UserError(f"{where}: {error.strerror}. Choose another directory with run.root=..."))
    except (Exception, Interrupted) as error:
        return report(error)
    if len(errors) > 1 or any(errors):
        print(f"Failed jobs of this sweep: {', '.join(map(str, errors))}", file=sys.stderr)
    return max((_status(error) for error in errors.values()), default=0)


def _check_before_writing(directory: str, name: str) -> None:
    """Compose and validate once before Hydra makes the run directory, so that a mistake leaves nothing behind."""
    with hydra.initialize_config_dir(directory, version_base="1.3"):
        config = hydra.compose(name, overrides=sys.argv[1:], return_hydra_config=True)
        HydraConfig.instance().set_config(config)
        typed(config, name)


def report(error: BaseException) -> int:
    """Print what a person needs and return the exit status; bugs keep their traceback."""
    message = str(error) if isinstance(error, Interrupted) else user_message(error)
    if message is None:
        sys.excepthook(type(error), error, error.__traceback__)
    else:
        message = escape_controls(message, lines=True)
        print(message if isinstance(error, Interrupted) else f"error: {message}", file=sys.stderr)
    return _status(error)


def _status(error: BaseException) -> int:
    if isinstance(error, Interrupted):
        return error.status
    return 1 if user_message(error) is None else USER_ERROR_STATUS


def user_message(error: BaseException) -> str | None:
    """The message for a mistake in the command or the data; ``None`` for a bug."""
    if isinstance(error, UserError):
        return str(error)
    cause = error.__cause__ if isinstance(error.__cause__, OmegaConfBaseException) else error
    if isinstance(cause, ConfigKeyError | AttributeError) and getattr(cause, "full_key", None):
        return _unknown_key(cause)
    if isinstance(cause, ValidationError):
        return f"{cause.full_key}: {str(cause).splitlines()[0]}"
    if isinstance(error, MissingConfigException) and (match := NO_SUCH_CHOICE.search(str(error))):
        return _unknown_choice(error, **match.groupdict())
    if isinstance(error, HydraException | OmegaConfBaseException):
        return " ".join(line.strip() for line in str(error).splitlines() if line.strip())
    if isinstance(error, UnicodeEncodeError) and (encoding := sys.getfilesystemencoding()) != "utf-8":
        return f"In this locale ({encoding}) no file can be called {error.object!r}. Leave PYTHONUTF8=0 out."
    if isinstance(error, OSError) and error.errno in SYSTEM_ERRORS:
        return f"{error.filename or 'Writing failed'}: {error.strerror}."
    return None


def _unknown_choice(error: MissingConfigException, group: str, choice: str) -> str:
    options = error.options or ()
    return f"There is no {group}={choice}.{close_matches(choice, options)} There are: {', '.join(options)}."


def _unknown_key(error: OmegaConfBaseException) -> str:
    parent, _, key = error.full_key.rpartition(".")
    known = list(error.parent_node) if error.parent_node is not None else []
    if not known:
        known = list(getattr(error.object_type, "__dataclass_fields__", ()))
    where = f"in '{parent}'" if parent else "at the top level"
    return f"There is no key '{key}' {where}.{close_matches(key, map(str, known))} Known: {', '.join(map(str, known))}."


def _drop_missing(config: DictConfig) -> None:
    """Remove keys that this choice of a group does not have (they are only in the schema's union)."""
    OmegaConf.set_struct(config, False)
    for key in list(config):
        if OmegaConf.is_missing(config, key):
            OmegaConf.set_readonly(config, False)
            del config[key]
        elif isinstance(config[key], DictConfig):
            _drop_missing(config[key])
