"""What to do about a board that cannot be opened, does not answer, or is not written: the second half of a message."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path

from hyper_mcu.codegen.errors import UserError

NO_PORT = (
    "plug the board in with a cable that carries data, not only current; on Windows and macOS a CH340 or CP210x wants "
    "its maker's driver"
)
SILENT = (
    "does it run this firmware (hyper-mcu flash)? On an ESP32-CAM, IO0 must not be on ground; press reset, and try a "
    "shorter cable"
)
SILENT_TCP = "does it run this firmware (hyper-mcu new-project)? Let no other program hold the line"
WRITING = {
    "stm32": "connect the ST-Link's USB, and for a board without one its SWDIO, SWCLK, GND; hold reset while it starts",
    "esp32": "connect IO0 with GND, press reset, try again, and take IO0 off GND afterwards",
}
UDEV = (
    "on Linux a debug probe is root's until its udev rule is there: the tool's documentation has it (99-openocd.rules, "
    "50-cmsis-dap.rules, 49-stlinkv2-1.rules)"
)


def group_of(port: str) -> str:
    """The group that may open a port, dialout where nobody knows."""
    if os.name != "posix":
        return "dialout"
    import grp

    try:
        return grp.getgrgid(Path(port).stat().st_gid).gr_name
    except (OSError, KeyError):
        return "dialout"


def cannot_open(port: str, fault: OSError) -> UserError:
    """The error for a port that the system does not open, with what to do about it."""
    said = (fault.strerror or str(fault)).lower()
    told = (n for n in (errno.EACCES, errno.EBUSY, errno.ENOENT) if os.strerror(n).lower() in said)
    code = fault.errno or next(told, 0)
    if code in errno.errorcode:
        said = os.strerror(code).lower()  # pyserial's words have the port in them once more
    if code in (errno.EACCES, errno.EPERM) and sys.platform != "win32":
        group = group_of(port)
        joined = f"sudo usermod -aG {group} $USER, then log in again"
        return UserError(port, "permission denied", joined if group != "root" else "its owner, or root", said)
    if code in (errno.EBUSY, errno.EACCES, errno.EAGAIN, errno.EWOULDBLOCK):
        how = f"no monitor, terminal or ModemManager that holds it; fuser -v {port} names it"
        return UserError(port, "busy", how, said)
    if code in (errno.ENOENT, errno.ENOTDIR):
        return UserError(port, f"no such port; {NO_PORT}", "one of those that hyper-mcu boards --ports lists", said)
    if "inappropriate ioctl" in said or code == errno.ENOTTY:  # a file, or a device that is no terminal
        return UserError(port, "no serial port", "one of those that hyper-mcu boards --ports lists", "something else")
    return UserError(port, "cannot be opened", f"a serial port; {NO_PORT}", said)
