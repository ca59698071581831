"""Files that benchmarks write, in a way that loses nobody's."""
import os


def why_not_written(path):
    """Tried, since permissions alone do not tell. Nothing where it can be written."""
    existed = os.path.lexists(path)  # a link that leads nowhere is somebody's, too
    try:
        with open(path, "ab"):
            pass
    except OSError as error:
        return error.strerror
    if not existed:
        os.unlink(path)
    return None


def write_whole(path, text):
    """Another file takes a file's place when it is whole. A link, a pipe or a device is written to itself."""
    if path.is_symlink() or (path.exists() and not path.is_file()):
        path.write_text(text, encoding="utf-8")
        return
    part = path.with_name(path.name + ".part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)
