"""Readers in children that may take some 100 MB beyond the file's own size and little time: a process of its own.

Lines of JSON come in, ``{"reader": name, "paths": [...]}``, and for each one goes out. A child is forked for each
line; its address space and CPU time are limited by the system, and it counts what it took.
"""

import json
import os
import re
import resource
import sys
from pathlib import Path

ROOM = 100 << 20
CPU_SECONDS = 10  # for all paths of a line, which hold one hostile file or a few hundred small ones


def readers():
    from imgcls.app.run_record import read_record
    from imgcls.data.formats import list_file, table_list, tag_list, webdataset, zip_folders
    from imgcls.data.formats.class_names import read_class_map
    from imgcls.data.formats.tar_index import read_index
    from imgcls.deploy import inputs
    from imgcls.deploy.contract import read_contract
    from imgcls.deploy.feature_file import FeatureFile
    from imgcls.deploy.search_index import read_index as read_search_index
    from imgcls.machine.reading import read_json, read_yaml
    from imgcls.report.compare import read_runs
    from imgcls.report.curves import read_history
    from imgcls.run.checkpoint import verify
    from imgcls.weights.fluid.files import check_tar, read_variable
    from imgcls.weights.safe_pickle import load_pickle
    from imgcls.weights.source import read_weights

    def find_images(path):
        return inputs.find_images(str(path))

    def resume_features(directory):
        return list(FeatureFile(Path(directory), resume=True).paths())

    def read_list(path):
        return list_file.read_list(Path(path).parent, path, check_files="none")

    def read_table(path):
        columns = table_list.Columns()
        table_list.table_samples(
            Path(path).parent, table_list.read_table(Path(path), columns, "train"), *[None] * 2, "none", True
        )

    def read_tags(path):
        tag_list.read_tag_list(Path(path))

    def read_webdataset(root):
        webdataset.index_of(Path(root), "train", table_list.Columns())

    def read_zip(path):
        zip_folders.zip_samples(Path(path), "train", undivided=True)

    def read_search(directory):
        read_search_index(Path(directory))

    def compare(directory):
        read_runs([str(directory)], print)

    known = (
        read_table,
        read_tags,
        read_webdataset,
        read_zip,
        read_search,
        compare,
        read_weights,
        load_pickle,
        read_contract,
        read_record,
        read_json,
        read_yaml,
        verify,
        check_tar,
    )
    known += (find_images, resume_features, read_list, read_class_map, read_history, read_index)
    return {function.__name__: function for function in (*known, read_variable)}


def address_space(which):
    return int(re.search(rf"{which}:\s+(\d+) kB", Path("/proc/self/status").read_text())[1]) << 10


def answers(read, paths):
    from imgcls.errors import UserError

    for path in paths:
        try:
            read(path)
            yield "read"
        except UserError as error:
            yield str(error)
        except BaseException as error:
            yield f"!{type(error).__name__}: {error}"[:500]


def size(path):
    """Of a file, or of the files of a directory."""
    found = Path(path).rglob("*") if os.path.isdir(path) else [path]
    return sum(os.path.getsize(each) for each in found if os.path.isfile(each))


def child(read, paths, out):
    before = address_space("VmSize")
    limit = before + ROOM + max(map(size, paths))
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    used = sum(resource.getrusage(resource.RUSAGE_SELF)[:2])
    resource.setrlimit(resource.RLIMIT_CPU, (int(used) + CPU_SECONDS, int(used) + CPU_SECONDS))
    result = list(answers(read, paths))
    os.write(out, json.dumps({"answers": result, "grown": address_space("VmPeak") - before}).encode())


def main():
    known = readers()
    for line in sys.stdin:
        request = json.loads(line)
        receive, send = os.pipe()
        process = os.fork()
        if process == 0:
            try:
                child(known[request["reader"]], request["paths"], send)
            finally:
                os._exit(0)
        os.close(send)
        with open(receive, "rb") as file:
            content = file.read()
        _, status = os.waitpid(process, 0)
        ended = os.waitstatus_to_exitcode(status)
        print(content.decode() if content else json.dumps({"died": ended}), flush=True)


if __name__ == "__main__":
    main()
