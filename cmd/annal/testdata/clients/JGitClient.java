// JGit. Usage: clone|shallow URL DIR, fetch DIR, push DIR REFSPEC.
import java.io.File;
import java.net.URI;
import org.eclipse.jgit.api.CloneCommand;
import org.eclipse.jgit.api.Git;
import org.eclipse.jgit.transport.PushResult;
import org.eclipse.jgit.transport.RefSpec;
import org.eclipse.jgit.transport.RemoteRefUpdate;
import org.eclipse.jgit.transport.UsernamePasswordCredentialsProvider;

public class JGitClient {
    public static void main(String[] args) {
        try {
            run(args);
        } catch (Exception e) {
            for (Throwable t = e; t != null; t = t.getCause()) System.err.println(t);
            System.exit(1);
        }
    }

    static UsernamePasswordCredentialsProvider credentials(String url) {
        String[] user = URI.create(url).getUserInfo().split(":", 2);
        return new UsernamePasswordCredentialsProvider(user[0], user[1]);
    }

    static void run(String[] args) throws Exception {
        if (args[0].equals("clone") || args[0].equals("shallow")) {
            CloneCommand clone = Git.cloneRepository().setURI(args[1]).setDirectory(new File(args[2]))
                .setCredentialsProvider(credentials(args[1]));
            if (args[0].equals("shallow")) clone.setDepth(1);
            clone.call().close();
            return;
        }
        try (Git git = Git.open(new File(args[1]))) {
            String url = git.getRepository().getConfig().getString("remote", "origin", "url");
            if (args[0].equals("fetch")) {
                git.fetch().setCredentialsProvider(credentials(url)).call();
                return;
            }
            for (PushResult result : git.push().setCredentialsProvider(credentials(url)).setRefSpecs(new RefSpec(args[2])).call()) {
                for (RemoteRefUpdate u : result.getRemoteUpdates()) {
                    if (u.getStatus() != RemoteRefUpdate.Status.OK) {
                        throw new Exception("refused: " + u.getStatus() + " " + u.getMessage());
                    }
                }
            }
        }
    }
}
