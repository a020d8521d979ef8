"""Run a client as on a machine without imgcls: python without_imgcls.py client.py [argument ...]."""

import runpy
import sys


class NoImgcls:
    """First of the import system's finders; refuses the one package."""

    @staticmethod
    def find_spec(name, path=None, target=None):
        if name.partition(".")[0] == "imgcls":
            raise ImportError("imgcls must not be needed here")


sys.meta_path.insert(0, NoImgcls)
del sys.argv[0]
runpy.run_path(sys.argv[0], run_name="__main__")
