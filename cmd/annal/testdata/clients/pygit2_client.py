"""libgit2, by pygit2. Usage: clone|shallow URL DIR, fetch DIR, push DIR REFSPEC."""
import sys
from urllib.parse import unquote

import pygit2


class Callbacks(pygit2.RemoteCallbacks):
    asked = 0
    refused = None

    def credentials(self, url, username, allowed):
        self.asked += 1
        if self.asked > 1:
            raise pygit2.GitError("authentication failed")
        user, _, secret = url.split("://", 1)[1].rpartition("@")[0].partition(":")
        return pygit2.UserPass(user, unquote(secret))

    def push_update_reference(self, name, message):
        if message is not None:
            self.refused = f"{name}: {message}"


def main(command, *args):
    callbacks = Callbacks()
    if command in ("clone", "shallow"):
        depth = 1 if command == "shallow" else 0
        pygit2.clone_repository(args[0], args[1], callbacks=callbacks, depth=depth)
        return
    remote = pygit2.Repository(args[0]).remotes["origin"]
    if command == "fetch":
        remote.fetch(callbacks=callbacks)
    elif command == "push":
        remote.push([args[1]], callbacks=callbacks)
        if callbacks.refused:
            raise pygit2.GitError(callbacks.refused)


try:
    main(*sys.argv[1:])
except Exception as e:
    sys.exit(f"{type(e).__name__}: {e}")
