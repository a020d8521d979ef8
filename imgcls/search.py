"""``python -m imgcls.search build|query``: pictures that are alike, copies, outliers and likely wrong labels."""

from omegaconf import DictConfig

from imgcls.app.program import entry_point, output_directory
from imgcls.machine.installation import require_paddle
from imgcls.run.logs import start_log


@entry_point("search")
def main(config: DictConfig) -> None:
    require_paddle()
    from imgcls.app.search_build import build
    from imgcls.app.search_query import query
    from imgcls.machine.device import select_device

    start_log()
    select_device(None)
    {"build": build, "query": query}[config.search.what](config, output_directory())


if __name__ == "__main__":
    main()
