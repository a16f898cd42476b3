"""dulwich. Usage: clone|shallow URL DIR, fetch DIR, push DIR REFSPEC."""
import io
import sys

from dulwich import porcelain


def main(command, *args):
    out = io.BytesIO()
    if command in ("clone", "shallow"):
        porcelain.clone(args[0], args[1], depth=1 if command == "shallow" else None, errstream=out).close()
    elif command == "fetch":
        porcelain.fetch(args[0], "origin", errstream=out)
    elif command == "push":
        result = porcelain.push(args[0], "origin", [args[1]], errstream=out)
        refused = {name: why for name, why in (result.ref_status or {}).items() if why}
        if refused:
            sys.exit(f"refused: {refused}")


try:
    main(*sys.argv[1:])
except Exception as e:
    sys.exit(f"{type(e).__name__}: {e}")
