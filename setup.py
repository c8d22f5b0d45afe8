"""The native core, which is optional: without a C compiler the install goes on and the numpy tier serves."""

import os
import sys

from setuptools import Extension, setup
from setuptools.command.bdist_wheel import bdist_wheel


class StableAbiWheel(bdist_wheel):
    """One wheel for CPython 3.10 and later."""

    def get_tag(self) -> tuple[str, str, str]:
        """Name the oldest Python and the stable ABI."""
        python, abi, platform = super().get_tag()
        return ("cp310", "abi3", platform) if python.startswith("cp") else (python, abi, platform)


# No fast-math and no contraction: every instruction set and every compiler gives the same bits.
flags = (
    ["/O2"]
    if sys.platform == "win32"
    else ["-O3", "-ffp-contract=off", "-fno-math-errno", "-fvisibility=hidden"]
)
native = Extension(
    "sse.edge._native",
    ["sse/edge/native/module.c"],
    depends=[f"sse/edge/native/{name}" for name in sorted(os.listdir("sse/edge/native"))],
    define_macros=[("Py_LIMITED_API", "0x030A0000")],
    extra_compile_args=flags,
    py_limited_api=True,
    optional=True,
)
setup(
    ext_modules=[] if os.environ.get("SSE_PURE") else [native],
    cmdclass={} if os.environ.get("SSE_PURE") else {"bdist_wheel": StableAbiWheel},
)
