package main

import (
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// settings are what an operator may decide. Flags, ANNAL_* variables and the
// configuration file have the same names.
type settings struct {
	ConfigFile string `name:"config" help:"YAML file with settings, one 'name: value' a line." placeholder:"FILE" env:"ANNAL_CONFIG" secret:"-"`

	Home       string `help:"Folder of this node: embedded database, caches. Default: ${default_home}." placeholder:"DIR" env:"ANNAL_HOME"`
	SharedHome string `help:"Folder of the Git objects, the same for all nodes. Default: shared, in the home." placeholder:"DIR" env:"ANNAL_SHARED_HOME"`

	DatabaseURL string `help:"PostgreSQL to use instead of the embedded one, as postgres://user:password@host/database." placeholder:"URL" env:"ANNAL_DATABASE_URL" secret:"url"`
	SearchURL   string `help:"OpenSearch to use for code search. Without effect in this version." placeholder:"URL" env:"ANNAL_SEARCH_URL" secret:"url"`

	LogSigningKey string `help:"File of the Ed25519 key that signs the log's checkpoints, PEM; made at the first start. Default: keys/log-signing.pem, in the shared home." placeholder:"FILE" env:"ANNAL_LOG_SIGNING_KEY"`

	HTTPAddr   string `help:"Address for Git over HTTP, REST and the browser." default:":7990" placeholder:"HOST:PORT" env:"ANNAL_HTTP_ADDR"`
	SSHAddr    string `help:"Address for Git over SSH; off serves none." default:":7999" placeholder:"HOST:PORT" env:"ANNAL_SSH_ADDR"`
	GossipAddr string `help:"Address for messages between nodes. Without effect in this version." default:":5701" placeholder:"HOST:PORT" env:"ANNAL_GOSSIP_ADDR"`
	BaseURL    string `help:"URL that users reach Annal by, used in links and clone URLs. Default: http://localhost and the HTTP port." placeholder:"URL" env:"ANNAL_BASE_URL"`

	SSHURL           string   `help:"URL that users reach Git over SSH by, used in clone URLs. Default: ssh://git@, the host of base-url and the SSH port." placeholder:"URL" env:"ANNAL_SSH_URL"`
	SSHCiphers       []string `help:"Ciphers offered to SSH clients; others than the two by default take more of the processor." default:"aes128-gcm@openssh.com,aes256-gcm@openssh.com" placeholder:"NAME,..." env:"ANNAL_SSH_CIPHERS"`
	SSHProxyProtocol []string `help:"Networks of balancers whose SSH connections say by the PROXY protocol (v1, v2) where they come from." placeholder:"CIDR,..." env:"ANNAL_SSH_PROXY_PROTOCOL"`

	ClusterName     string   `help:"Name that nodes of one cluster share." default:"annal" placeholder:"NAME" env:"ANNAL_CLUSTER_NAME"`
	ClusterPassword string   `help:"Password that messages between nodes are encrypted with. Without effect in this version." placeholder:"PASSWORD" env:"ANNAL_CLUSTER_PASSWORD" secret:"all"`
	ClusterPeers    []string `help:"Gossip addresses of other nodes. Without effect in this version." placeholder:"HOST:PORT,..." env:"ANNAL_CLUSTER_PEERS"`

	AdminPasswordFile string        `help:"File with the password of the administrator 'admin', who is created at the first start. Or give it as $ANNAL_ADMIN_PASSWORD." placeholder:"FILE" env:"ANNAL_ADMIN_PASSWORD_FILE"`
	LicensedUsers     int           `help:"How many users may be able to log in at the same time; 0 is any number." default:"0" placeholder:"N" env:"ANNAL_LICENSED_USERS"`
	PasswordLength    int           `help:"How many characters a new password must have." default:"8" placeholder:"N" env:"ANNAL_PASSWORD_LENGTH"`
	DrainGrace        time.Duration `help:"How long a node that was told to stop (SIGTERM) goes on serving, so that balancers notice first." default:"30s" placeholder:"DURATION" env:"ANNAL_DRAIN_GRACE"`
	MaxPackSize       int64         `help:"Largest push accepted, in MiB." default:"2048" placeholder:"MIB" env:"ANNAL_MAX_PACK_SIZE"`

	PackCacheSize int64 `help:"Disk that the home may use to keep packs made for clones and fetches, in MiB; 0 keeps none." default:"2048" placeholder:"MIB" env:"ANNAL_PACK_CACHE_SIZE"`

	MaintenancePacks      int           `help:"How many packs a small repository may have before they are combined; large ones may have some more." default:"8" placeholder:"N" env:"ANNAL_MAINTENANCE_PACKS"`
	MaintenanceTail       int           `help:"How many percent of a repository may lie outside of its largest pack before all is combined anew." default:"10" placeholder:"PERCENT" env:"ANNAL_MAINTENANCE_TAIL"`
	MaintenanceEvery      time.Duration `help:"How often to look for repositories with many packs." default:"10s" placeholder:"DURATION" env:"ANNAL_MAINTENANCE_EVERY"`
	MaintenanceFullEvery  time.Duration `help:"After how long all packs of a repository that was pushed to are combined anew." default:"168h" placeholder:"DURATION" env:"ANNAL_MAINTENANCE_FULL_EVERY"`
	MaintenanceSweepEvery time.Duration `help:"How often to look for files on the shared home that no repository lists." default:"24h" placeholder:"DURATION" env:"ANNAL_MAINTENANCE_SWEEP_EVERY"`
	MaintenanceTimeout    time.Duration `help:"How long one process of maintenance may take." default:"6h" placeholder:"DURATION" env:"ANNAL_MAINTENANCE_TIMEOUT"`
	MaintenanceMemory     int64         `help:"Memory that one process of maintenance may take, in MiB." default:"4096" placeholder:"MIB" env:"ANNAL_MAINTENANCE_MEMORY"`
	KeepSuperseded        time.Duration `help:"How long a pack stays that was combined into another, at least: longer than any request takes." default:"24h" placeholder:"DURATION" env:"ANNAL_KEEP_SUPERSEDED"`
	KeepOrphans           time.Duration `help:"How long a file on the shared home stays that no push has registered, at least." default:"48h" placeholder:"DURATION" env:"ANNAL_KEEP_ORPHANS"`
	KeepTrash             time.Duration `help:"How long removed packs stay in the trash." default:"24h" placeholder:"DURATION" env:"ANNAL_KEEP_TRASH"`

	KeepRefusals time.Duration `help:"How long it is kept what was refused to whom." default:"2160h" placeholder:"DURATION" env:"ANNAL_KEEP_REFUSALS"`

	Logins logins `embed:""`

	Limits limits `embed:""`

	LogLevel  string `help:"Least important messages to log: debug, info, warn or error." default:"info" placeholder:"LEVEL" env:"ANNAL_LOG_LEVEL"`
	LogFormat string `help:"Form of the log: text or json." default:"text" placeholder:"FORMAT" env:"ANNAL_LOG_FORMAT"`
}

// settingError says which setting does not fit and what would.
type settingError struct{ name, value, allowed string }

func (e *settingError) Error() string {
	return fmt.Sprintf("%s: %q is not allowed; %s", e.name, e.value, e.allowed)
}

// complete fills in what follows from other settings and checks them all.
func (s *settings) complete() error {
	if s.Home == "" {
		s.Home = defaultHome()
	}
	var err error
	if s.Home, err = filepath.Abs(s.Home); err != nil {
		return err
	}
	if s.SharedHome == "" {
		s.SharedHome = filepath.Join(s.Home, "shared")
	}
	if s.SharedHome, err = filepath.Abs(s.SharedHome); err != nil {
		return err
	}
	if s.LogSigningKey == "" {
		s.LogSigningKey = filepath.Join(s.SharedHome, "keys", "log-signing.pem")
	}
	if s.LogSigningKey, err = filepath.Abs(s.LogSigningKey); err != nil {
		return err
	}
	if err := s.check(); err != nil {
		return err
	}
	s.BaseURL = strings.TrimRight(s.BaseURL, "/")
	return nil
}

// deriveBaseURL makes a base URL for a node that was given none, from the address it
// listens on.
func (s *settings) deriveBaseURL(listening net.Addr) {
	if s.BaseURL != "" {
		return
	}
	s.BaseURL = "http://localhost"
	if _, port, err := net.SplitHostPort(listening.String()); err == nil && port != "80" {
		s.BaseURL += ":" + port
	}
}

var clusterName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$`)

func (s *settings) check() error {
	for _, a := range []struct{ name, value string }{
		{"http-addr", s.HTTPAddr}, {"ssh-addr", s.SSHAddr}, {"gossip-addr", s.GossipAddr},
	} {
		if a.name == "ssh-addr" && a.value == sshOff {
			continue
		}
		if err := checkAddress(a.name, a.value, true); err != nil {
			return err
		}
	}
	if err := s.checkSSH(); err != nil {
		return err
	}
	if err := s.Logins.check(); err != nil {
		return err
	}
	for _, peer := range s.ClusterPeers {
		if err := checkAddress("cluster-peers", peer, false); err != nil {
			return err
		}
	}
	for _, u := range []struct {
		name, value string
		schemes     []string
	}{
		{"base-url", s.BaseURL, []string{"http", "https"}},
		{"search-url", s.SearchURL, []string{"http", "https"}},
		{"database-url", s.DatabaseURL, []string{"postgres", "postgresql"}},
	} {
		if err := checkURL(u.name, u.value, u.schemes); err != nil {
			return err
		}
	}
	switch {
	case !clusterName.MatchString(s.ClusterName):
		return &settingError{"cluster-name", s.ClusterName, "use up to 63 letters, digits, dots, dashes and underscores, a letter or digit first"}
	case s.LicensedUsers < 0:
		return &settingError{"licensed-users", strconv.Itoa(s.LicensedUsers), "use a number of users, or 0 for any"}
	case s.PasswordLength < 1 || s.PasswordLength > 128:
		return &settingError{"password-length", strconv.Itoa(s.PasswordLength), "use a number of characters from 1 to 128"}
	case s.DrainGrace < 0 || s.DrainGrace > time.Hour:
		return &settingError{"drain-grace", s.DrainGrace.String(), "use a duration from 0s to 1h, such as 30s"}
	case s.MaxPackSize < 1 || s.MaxPackSize > 1<<20:
		return &settingError{"max-pack-size", strconv.FormatInt(s.MaxPackSize, 10), "use a number of MiB from 1 to 1048576"}
	}
	if err := s.Limits.check(); err != nil {
		return err
	}
	if err := s.checkMaintenance(); err != nil {
		return err
	}
	if _, ok := logLevels[s.LogLevel]; !ok {
		return &settingError{"log-level", s.LogLevel, "use debug, info, warn or error"}
	}
	if s.LogFormat != "text" && s.LogFormat != "json" {
		return &settingError{"log-format", s.LogFormat, "use text or json"}
	}
	return nil
}

func (s *settings) checkMaintenance() error {
	switch {
	case s.MaintenancePacks < 2 || s.MaintenancePacks > 1000:
		return &settingError{"maintenance-packs", strconv.Itoa(s.MaintenancePacks), "use a number from 2 to 1000"}
	case s.MaintenanceTail < 1 || s.MaintenanceTail > 100:
		return &settingError{"maintenance-tail", strconv.Itoa(s.MaintenanceTail), "use a number of percent from 1 to 100"}
	case s.MaintenanceMemory < 256:
		return &settingError{"maintenance-memory", strconv.FormatInt(s.MaintenanceMemory, 10), "use a number of MiB from 256 on"}
	}
	for _, d := range []struct {
		name  string
		value time.Duration
	}{
		{"maintenance-every", s.MaintenanceEvery}, {"maintenance-full-every", s.MaintenanceFullEvery}, {"maintenance-sweep-every", s.MaintenanceSweepEvery},
		{"maintenance-timeout", s.MaintenanceTimeout}, {"keep-superseded", s.KeepSuperseded}, {"keep-orphans", s.KeepOrphans}, {"keep-trash", s.KeepTrash}, {"keep-refusals", s.KeepRefusals},
	} {
		if d.value < time.Second {
			return &settingError{d.name, d.value.String(), "use a duration of at least 1s, such as 24h"}
		}
	}
	return nil
}

// checkAddress wants host:port; a listening address may leave the host out and have
// port 0.
func checkAddress(name, value string, listening bool) error {
	host, port, err := net.SplitHostPort(value)
	number, portErr := strconv.ParseUint(port, 10, 16)
	if err != nil || portErr != nil || (!listening && (host == "" || number == 0)) {
		allowed := "use host:port, such as node1.example.org:5701"
		if listening {
			allowed = "use host:port or :port, such as 127.0.0.1:7990 or :7990"
		}
		return &settingError{name, value, allowed}
	}
	return nil
}

func checkURL(name, value string, schemes []string) error {
	if value == "" {
		return nil
	}
	parsed, err := url.Parse(value)
	if err == nil {
		for _, scheme := range schemes {
			if parsed.Scheme == scheme && (parsed.Host != "" || parsed.Query().Has("host")) {
				return nil
			}
		}
	}
	return &settingError{name, hidePassword(value), "use a URL that starts with " + strings.Join(schemes, ":// or ") + ":// and names a host"}
}

// hidePassword takes the password out of a URL, also out of one that is malformed.
func hidePassword(value string) string {
	return passwordInURL.ReplaceAllString(value, "${1}xxxxx@")
}

var passwordInURL = regexp.MustCompile(`(//[^/@:]*:)[^@]*@`)

// defaultHome is a folder that survives: the system's for root, whose own folder is
// closed to the user the database runs as; else the user's.
func defaultHome() string {
	if os.Geteuid() == 0 {
		return "/var/lib/annal"
	}
	if data := os.Getenv("XDG_DATA_HOME"); filepath.IsAbs(data) {
		return filepath.Join(data, "annal")
	}
	if home, err := os.UserHomeDir(); err == nil {
		return filepath.Join(home, ".local", "share", "annal")
	}
	return "annal-home"
}
