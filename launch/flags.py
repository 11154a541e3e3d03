"""What every command shares: flags for folders, configs by file or name, errors of one line."""

import json
import logging
import pathlib
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from absl import app, flags
from absl import logging as absl_logging
from ml_collections import config_flags

CONFIG = re.compile(r"^--?config=(.+)$")


def define_folders() -> tuple[flags.FlagHolder, flags.FlagHolder]:
    """--data_dir and --manual_dir."""
    data = flags.DEFINE_string("data_dir", None, "Prepared data; $RLVM_DATA or ~/.cache/rlvm/data.")
    manual = flags.DEFINE_string("manual_dir", None, "Folder of data files that you provide.")
    return data, manual


def define_workdir() -> flags.FlagHolder:
    """--workdir."""
    return flags.DEFINE_string("workdir", None, "Folder of the run.", required=True)


def define_checkpoint() -> flags.FlagHolder:
    """--checkpoint."""
    return flags.DEFINE_string("checkpoint", "best", "best, latest or a step.")


def define_config(required: bool = True) -> flags.FlagHolder:
    """--config=FILE or NAME, and --config.key=value."""
    holder = config_flags.DEFINE_config_file(
        "config", None, "configs/darn/connect4.py, or darn/connect4.", lock_config=True
    )
    if required:
        flags.mark_flag_as_required("config")
    return holder


def answer(result: Mapping[str, Any], output: str) -> None:
    """Print a result as a line of JSON, and write it to the file that --output names."""
    line = json.dumps(result)
    print(line, flush=True)
    if output:
        pathlib.Path(output).parent.mkdir(parents=True, exist_ok=True)
        pathlib.Path(output).write_text(line + "\n")


def run(main: Callable[[], None]) -> None:
    """Parse the flags and run `main`; an error of the user's input is one line and status 2."""
    app.run(lambda _: _guarded(main), flags_parser=_parse)


def _parse(arguments: Sequence[str]) -> list[str]:
    try:
        return flags.FLAGS([arguments[0], *map(_find_config, arguments[1:])])
    except flags.Error as error:
        _fail(str(error))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        _fail(f"Bad --config: {_first_line(error)}")


def _find_config(argument: str) -> str:
    """A config's name becomes the path of its file."""
    match = CONFIG.match(argument)
    if not match:
        return argument
    from rlvm.jobs import config

    return f"--config={config.find(match[1])}"


def _log_to_stderr() -> None:
    """Our own messages at INFO; other libraries speak up from WARNING on."""
    absl_logging.set_verbosity(absl_logging.WARNING)
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(levelname)s %(message)s"))
    logger = logging.getLogger("rlvm")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False


def _guarded(main: Callable[[], None]) -> None:
    _log_to_stderr()
    try:
        main()
    except (ValueError, FloatingPointError) as error:
        _fail(_first_line(error))
    except OSError as error:  # a file that is not there, cannot be written or does not fit
        _fail(f"{error.strerror}: {error.filename}" if error.filename else str(error))


def _first_line(error: BaseException) -> str:
    text = str(error.args[0] if error.args else error)
    return " ".join(text.replace("\\n", " ").strip("'").split())


def _fail(message: str) -> None:
    print(f"error: {message}", file=sys.stderr)
    sys.exit(2)
