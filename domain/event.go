package domain

import (
	"strconv"
	"time"
)

// Event is something that happened. Its type name is stored for ever
// ("repository.refs_updated.v1") and never reused for another shape.
type Event interface {
	EventType() string
}

// Unknown stands for an event whose type this version does not know: it was written by
// a newer one. Whoever needs the type must stop at it, and everybody else passes over it.
type Unknown struct {
	Type string
	Body []byte // canonical JSON, as stored
}

// EventType implements Event.
func (u Unknown) EventType() string { return u.Type }

// Personal is implemented by events that carry personal data. Log bodies are
// kept for ever, so these fields are stored beside the log, where they can be
// erased, and the log keeps only a salted commitment to them.
type Personal interface {
	Event
	// Subject is the user whom the data is about.
	Subject() UserID
	// PersonalData returns a pointer to the part of the event that must not
	// be in its body. The field that holds it is tagged `json:"-"`.
	PersonalData() any
}

// UserID is the number of a user, which Bitbucket's REST shows as "id". Like those of
// projects and repositories it is never reused.
type UserID int64

// GroupID is the number of a group of users.
type GroupID int64

// ProjectID is the number of a project.
type ProjectID int64

// RepositoryID is the number of a repository.
type RepositoryID int64

// OAuthClientID is the number of an application that acts for users.
type OAuthClientID int64

// Stream names the events of one aggregate, such as "repository/42".
type Stream string

// UserStream is the stream of one user.
func UserStream(id UserID) Stream { return Stream("user/" + strconv.FormatInt(int64(id), 10)) }

// GroupStream is the stream of one group.
func GroupStream(id GroupID) Stream { return Stream("group/" + strconv.FormatInt(int64(id), 10)) }

// OAuthClientStream is the stream of one application that acts for users.
func OAuthClientStream(id OAuthClientID) Stream {
	return Stream("oauth-client/" + strconv.FormatInt(int64(id), 10))
}

// ProjectStreams is what the streams of projects begin with, and no others.
const ProjectStreams = "project/"

// ProjectStream is the stream of one project.
func ProjectStream(id ProjectID) Stream {
	return Stream(ProjectStreams + strconv.FormatInt(int64(id), 10))
}

// RepositoryStreams is what the streams of repositories begin with, and no others.
const RepositoryStreams = "repository/"

// RepositoryStream is the stream of one repository.
func RepositoryStream(id RepositoryID) Stream {
	return Stream(RepositoryStreams + strconv.FormatInt(int64(id), 10))
}

// ClusterStream is the stream of what concerns the whole installation: its
// set-up, global permissions, operators' acts on projections.
const ClusterStream Stream = "cluster"

// Metadata says who caused an event and how.
type Metadata struct {
	Actor       UserID // 0: nobody logged in, or the system itself
	Auth        string // "password", "token:<id>", "ssh-key:<id>", "session:<id>", "oauth:<grant>", "oidc", "setup", "system", "" for anonymous
	Address     string // remote address; personal data, kept beside the log
	RequestID   string
	Correlation string // id shared by everything one outside request set off
	Causation   string // id of the event that caused this one, if any
	Node        string // node that appended it
}

// Recorded is an event as the log holds it.
type Recorded struct {
	Position int64 // dense, from 1
	Stream   Stream
	Version  int64  // in the stream, dense, from 1
	ID       string // id of the push or command (UUID); events of one command share it
	At       time.Time
	Event    Event
	Meta     Metadata
}
