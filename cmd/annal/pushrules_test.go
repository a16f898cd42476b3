package main_test

import (
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const (
	repositoryPushRules = "/rest/annal/1.0/projects/PRJ/repos/demo/push-rules"
	projectPushRules    = "/rest/annal/1.0/projects/PRJ/push-rules"
)

// write adds a commit with one file, and returns its id.
func write(t testing.TB, dir, name, content, message string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	git(t, dir, "add", "-A")
	git(t, dir, "commit", "-q", "-m", message)
	return git(t, dir, "rev-parse", "HEAD")
}

// What a person sees whose push brings what a push rule refuses, for each of them, and that
// nothing of it stays in the repository.
func TestPushRules(t *testing.T) {
	t.Parallel()
	n := start(t, newHome(t))
	n.repository("demo")
	remote := n.remote("demo")
	dir := work(t)
	git(t, dir, "push", "-q", remote, "main")
	refused := func(dir string, why []string, args ...string) string {
		t.Helper()
		out, err := gitTry(t, dir, append([]string{"push", remote}, args...)...)
		for _, w := range why {
			if err == nil || !strings.Contains(strings.Join(strings.Fields(strings.ReplaceAll(out, "remote: ", "")), " "), w) {
				t.Errorf("push %v: %v\n%s\nwant %q", args, err, out, w)
			}
		}
		return out
	}
	fresh := func() string {
		t.Helper()
		clone := filepath.Join(t.TempDir(), "clone")
		git(t, t.TempDir(), "clone", "-q", remote, clone)
		return clone
	}

	t.Run("size", func(t *testing.T) {
		n.admin(200, http.MethodPut, projectPushRules, map[string]any{"maxFileSize": 1000})
		clone := fresh()
		id := write(t, clone, "deep/folder/large.bin", strings.Repeat("large ", 500), "large")
		write(t, clone, "small", "small", "small")
		refused(clone, []string{"max-file-size: commit " + id[:12] + ": deep/folder/large.bin has 3000 bytes, and files may have at most 1000 bytes"}, "main")
		// Not by a ref beside it either, nor by naming what the refused push has brought.
		refused(clone, []string{"push this ref alone"}, "main", "origin/main:refs/heads/beside")
		refused(clone, []string{"max-file-size"}, id+":refs/heads/direct")
		git(t, clone, "rm", "-q", "-r", "deep")
		git(t, clone, "commit", "-q", "-m", "gone")
		refused(clone, []string{"large.bin"}, "main") // it is in the history
		n.admin(200, http.MethodPut, repositoryPushRules, map[string]any{"maxFileSize": 0})
		git(t, clone, "push", "-q", remote, "main:sized")
		n.admin(200, http.MethodPut, repositoryPushRules, map[string]any{})
		// What the repository has may be named anew, and deltas of it are no new files.
		git(t, clone, "push", "-q", remote, "main~1:refs/heads/again", "main:refs/heads/again2")
	})

	t.Run("message", func(t *testing.T) {
		n.admin(200, http.MethodPut, repositoryPushRules, map[string]any{"message": map[string]any{"pattern": `^JIRA-\d+: `, "exemptMerges": true}})
		clone := fresh()
		id := write(t, clone, "m", "m", "no ticket")
		refused(clone, []string{"commit-message: commit " + id[:12] + `: its message does not match the pattern ^JIRA-\d+: .`}, "main:messages")
		git(t, clone, "commit", "-q", "--amend", "-m", "JIRA-12: with one")
		git(t, clone, "checkout", "-q", "-b", "side", "HEAD~1")
		write(t, clone, "s", "s", "JIRA-13: side")
		git(t, clone, "merge", "-q", "--no-edit", "main")
		git(t, clone, "push", "-q", remote, "side:messages")
	})

	t.Run("committer", func(t *testing.T) {
		text := n.admin(200, http.MethodPut, "/rest/api/latest/projects/PRJ/repos/demo/settings/hooks/com.atlassian.bitbucket.server.bitbucket-bundled-hooks:verify-committer-hook/enabled", nil)
		if !strings.Contains(text, `"enabled":true`) {
			t.Error(text)
		}
		n.admin(200, http.MethodPut, repositoryPushRules, map[string]any{"committer": map[string]any{"enabled": true, "author": true}})
		clone := fresh()
		id := write(t, clone, "c", "c", "by Ada")
		refused(clone, []string{"verify-committer: commit " + id[:12] + ": its committer Ada <ada@example.org> is not you (", "--reset-author"}, "main:by")
		git(t, clone, "-c", "user.name=ADMIN", "commit", "-q", "--amend", "--no-edit") // the environment is stronger
		var me struct{ DisplayName, EmailAddress string }
		if err := json.Unmarshal([]byte(n.admin(200, http.MethodGet, "/rest/api/1.0/users/admin", nil)), &me); err != nil {
			t.Fatal(err)
		}
		gitAs(t, clone, "admin", "nobody@example.com", "commit", "-q", "--amend", "--reset-author", "-m", "by the name")
		git(t, clone, "push", "-q", remote, "main:by")
		gitAs(t, clone, "nobody", "nobody@example.com", "commit", "-q", "--amend", "-m", "another committer")
		refused(clone, []string{"its committer nobody"}, "+main:by")
		n.admin(200, http.MethodDelete, "/rest/api/latest/projects/PRJ/repos/demo/settings/hooks/com.atlassian.bitbucket.server.bitbucket-bundled-hooks:verify-committer-hook/enabled", nil)
		git(t, clone, "push", "-q", remote, "+main:by")
	})

	t.Run("force", func(t *testing.T) {
		n.admin(200, http.MethodPut, "/rest/api/1.0/projects/PRJ/settings/hooks/com.atlassian.bitbucket.server.bitbucket-bundled-hooks:force-push-hook/enabled", nil)
		clone := fresh()
		git(t, clone, "commit", "-q", "--amend", "-m", "rewritten")
		refused(clone, []string{"refs/heads/main must not be force-pushed"}, "+main")
		n.admin(200, http.MethodDelete, "/rest/api/1.0/projects/PRJ/settings/hooks/com.atlassian.bitbucket.server.bitbucket-bundled-hooks:force-push-hook/enabled", nil)
		git(t, clone, "push", "-q", remote, "+main")
	})

	t.Run("secrets", func(t *testing.T) {
		n.admin(200, http.MethodPut, projectPushRules, map[string]any{"scanSecrets": true})
		n.admin(200, http.MethodPut, repositoryPushRules, map[string]any{})
		clone := fresh()
		secret := "ghp_" + "16C7e42F292c6912E7710c838347Ae178B4a"
		id := write(t, clone, "config/app.env", "a=1\nb=2\ntoken="+secret+"\n", "with a secret")
		write(t, clone, "more", "more", "more")
		out := refused(clone, []string{"secret-scanning: commit " + id[:12] + ": config/app.env line 3 looks like it holds a secret (GitHub token)"}, "main:secrets")
		if strings.Contains(out, secret) {
			t.Errorf("the secret is shown: %s", out)
		}
		if strings.Contains(n.log.String(), secret) {
			t.Error("the secret is in the log")
		}
		write(t, clone, "binary", "\x00"+secret, "binary")
		rule := n.admin(200, http.MethodPost, "/rest/api/latest/projects/PRJ/repos/demo/secret-scanning/allowlist", map[string]any{"name": "tests", "pathRegex": `^config/`})
		git(t, clone, "push", "-q", remote, "main:secrets")
		// The same file elsewhere is another matter.
		git(t, clone, "checkout", "-q", "-b", "fresh", "origin/main")
		write(t, clone, "src/config/app.env", "a=1\nb=2\ntoken="+strings.Replace(secret, "16C7", "27D8", 1)+"\n", "elsewhere")
		refused(clone, []string{"src/config/app.env line 3"}, "fresh:elsewhere")
		n.admin(204, http.MethodDelete, "/rest/api/latest/projects/PRJ/repos/demo/secret-scanning/allowlist/"+between(rule, `"id":`, `,`), nil)
		n.admin(204, http.MethodPut, "/rest/api/latest/projects/PRJ/repos/demo/secret-scanning/exempt", nil)
		git(t, clone, "push", "-q", remote, "fresh:exempt")
		n.admin(204, http.MethodDelete, "/rest/api/latest/projects/PRJ/repos/demo/secret-scanning/exempt", nil)
		n.admin(200, http.MethodPost, "/rest/api/latest/projects/PRJ/secret-scanning/rules", map[string]any{"name": "key files", "pathRegex": `\.pem$`})
		n.admin(200, http.MethodPost, "/rest/api/latest/projects/PRJ/secret-scanning/rules", map[string]any{"name": "our token", "lineRegex": `tok-\d{4}`, "pathRegex": `\.conf$`})
		write(t, clone, "a/x.pem", "nothing", "a path alone")
		refused(clone, []string{"a/x.pem is a file that must not be pushed (secret rule key files)"}, "fresh:paths")
		git(t, clone, "reset", "-q", "--hard", "HEAD~1")
		write(t, clone, "x.txt", "tok-1234", "where it is none")
		git(t, clone, "push", "-q", remote, "fresh:paths")
		write(t, clone, "x.conf", "tok-1234 ", "where it is one")
		refused(clone, []string{"x.conf line 1 looks like it holds a secret (our token)"}, "fresh:paths")
	})

	t.Run("signed", func(t *testing.T) {
		n.admin(200, http.MethodPut, repositoryPushRules, map[string]any{"signed": true, "scanSecrets": false})
		clone := fresh()
		id := write(t, clone, "signed", "signed", "not signed")
		refused(clone, []string{"signed-commits: commit " + id[:12] + ": it is not signed. Sign it (git commit -S)"}, "main:signed")
		if _, err := exec.LookPath("gpg"); err != nil {
			t.Skip("gpg is not installed: no commit is signed")
		}
		home, err := os.MkdirTemp("", "gpg") // a socket below it must have a short name
		if err != nil {
			t.Fatal(err)
		}
		run := func(name string, args ...string) string {
			t.Helper()
			command := exec.CommandContext(t.Context(), name, args...)
			command.Dir, command.Env = clone, environment("GNUPGHOME="+home)
			out, err := command.CombinedOutput()
			if err != nil {
				t.Fatalf("%s %v: %v\n%s", name, args, err, out)
			}
			return string(out)
		}
		t.Cleanup(func() {
			kill := exec.Command("gpgconf", "--kill", "all")
			kill.Env = environment("GNUPGHOME=" + home)
			_ = kill.Run()
			_ = os.RemoveAll(home)
		})
		run("gpg", "--batch", "--quiet", "--passphrase", "", "--quick-generate-key", "Ada <ada@example.org>", "ed25519", "sign", "never")
		run("git", "commit", "-q", "--amend", "-S", "-m", "signed")
		refused(clone, []string{"it is signed by a key that its committer has not added"}, "main:signed")
		n.admin(204, "POST", "/rest/api/1.0/admin/users?name=ada&password=ada-has-a-password&displayName=Ada&emailAddress=ada@example.org", nil)
		status, text := n.request("ada", "ada-has-a-password", "POST", "/rest/gpg/latest/keys", map[string]any{"text": run("gpg", "--quiet", "--armor", "--export")})
		if status != 200 || !strings.Contains(text, `"emailAddress":"ada@example.org"`) {
			t.Fatalf("%d %s", status, text)
		}
		git(t, clone, "push", "-q", remote, "main:signed") // by somebody else, as merges are
		run("git", "commit", "-q", "--amend", "-S", "-m", "signed again")
		status, text = n.request("ada", "ada-has-a-password", "DELETE", "/rest/gpg/latest/keys/"+between(text, `"fingerprint":"`, `"`), nil)
		if status != 204 {
			t.Fatalf("%d %s", status, text)
		}
		refused(clone, []string{"has not added"}, "+main:signed")
		n.annal("projections", "verify", "gpgkeys")
		n.annal("projections", "rebuild", "gpgkeys")
		n.admin(200, http.MethodPut, repositoryPushRules, map[string]any{})
	})

	// Deletions go through whatever else is wrong.
	clone := fresh()
	write(t, clone, "y.pem", "nothing", "a path alone")
	refused(clone, []string{"y.pem"}, "main", ":exempt")
	if left := git(t, clone, "ls-remote", remote, "refs/heads/exempt"); left != "" {
		t.Errorf("a deletion did not go through: %s", left)
	}
	n.annal("projections", "verify", "rules")
	if _, metrics := n.request("admin", password, "GET", "/metrics", nil); !strings.Contains(metrics, `annal_rule_refusals_total{rule="secret-scanning"}`) {
		t.Errorf("refusals are not counted: %s", metrics)
	}
}

// gitAs is git for somebody else than Ada.
func gitAs(t testing.TB, dir, name, email string, args ...string) {
	t.Helper()
	git(t, dir, append([]string{"-c", "alias.as=!GIT_COMMITTER_NAME='" + name + "' GIT_COMMITTER_EMAIL='" + email + "' GIT_AUTHOR_NAME='" + name + "' GIT_AUTHOR_EMAIL='" + email + "' git", "as"}, args...)...)
}
