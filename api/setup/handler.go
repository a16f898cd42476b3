package setup

import (
	"crypto/subtle"
	"embed"
	"encoding/json"
	"errors"
	"html/template"
	"log/slog"
	"mime"
	"net"
	"net/http"
	"time"

	"github.com/annal-git/annal/api/credentials"
	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/eventstore"
	"github.com/annal-git/annal/projections/access"
)

// maxForm is how much a form may send, in bytes.
const maxForm = 64 << 10

// formTimeout is how long a form may take to arrive.
const formTimeout = time.Minute

//go:embed setup.html
var files embed.FS

var page = template.Must(template.ParseFS(files, "setup.html"))

// Config is what a Handler works with.
type Config struct {
	Log         *eventstore.Log
	Users       *access.Reader
	Credentials *credentials.Authenticator
	Token       string // one-time; "" refuses everybody
	Logger      *slog.Logger
}

// Handler serves GET and POST /setup to whoever has the token, in the query or in the
// form, until there is an administrator. To all others there is nothing here.
type Handler struct{ config Config }

// NewHandler makes a Handler.
func NewHandler(config Config) *Handler {
	if config.Logger == nil {
		config.Logger = slog.Default()
	}
	return &Handler{config: config}
}

type form struct {
	Token string `json:"token"`
	Administrator
	Message string `json:"-"` // what was wrong
	Done    bool   `json:"-"`
}

// ServeHTTP implements http.Handler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	header.Set("Cache-Control", "no-store")
	header.Set("Referrer-Policy", "no-referrer") // the token is in the address
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'")
	if r.Method != http.MethodGet && r.Method != http.MethodHead && r.Method != http.MethodPost {
		header.Set("Allow", "GET, HEAD, POST")
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
		return
	}
	asked, err := read(w, r)
	if err != nil {
		http.Error(w, "the form cannot be read", http.StatusBadRequest)
		return
	}
	has, err := h.config.Users.HasAdministrator(r.Context())
	if err != nil {
		h.fail(w, r, err)
		return
	}
	right := subtle.ConstantTimeCompare([]byte(asked.Token), []byte(h.config.Token)) == 1
	if has || h.config.Token == "" || !right {
		http.NotFound(w, r)
		return
	}
	if r.Method != http.MethodPost {
		asked.Name = "admin"
		h.show(w, http.StatusOK, asked)
		return
	}
	address, _, _ := net.SplitHostPort(r.RemoteAddr)
	err = Create(r.Context(), h.config.Log, h.config.Credentials, asked.Administrator, domain.Metadata{Auth: "setup", Address: address})
	var invalid *domain.InvalidError
	var conflict *domain.ConflictError
	switch {
	case errors.As(err, &invalid), errors.As(err, &conflict):
		status := http.StatusBadRequest
		if conflict != nil {
			status = http.StatusConflict
		}
		asked.Message, asked.Password = err.Error(), ""
		h.show(w, status, asked)
	case err != nil:
		h.fail(w, r, err)
	default:
		h.config.Logger.InfoContext(r.Context(), "the first administrator has been made")
		h.show(w, http.StatusCreated, form{Done: true})
	}
}

// read takes the token from the query, and all else from a form or from JSON.
func read(w http.ResponseWriter, r *http.Request) (form, error) {
	asked := form{Token: r.URL.Query().Get("token")}
	if r.Method != http.MethodPost {
		return asked, nil
	}
	// A connection without deadlines goes without.
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(formTimeout))
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if media, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); media == "application/json" {
		return asked, json.NewDecoder(r.Body).Decode(&asked)
	}
	if err := r.ParseForm(); err != nil {
		return asked, err
	}
	if token := r.PostForm.Get("token"); token != "" {
		asked.Token = token
	}
	asked.Administrator = Administrator{
		Name: r.PostForm.Get("name"), DisplayName: r.PostForm.Get("displayName"),
		Email: r.PostForm.Get("emailAddress"), Password: r.PostForm.Get("password"),
	}
	return asked, nil
}

func (h *Handler) show(w http.ResponseWriter, status int, asked form) {
	w.Header().Set("Content-Type", "text/html;charset=UTF-8")
	w.WriteHeader(status)
	if err := page.Execute(w, asked); err != nil {
		h.config.Logger.Debug("set-up page not delivered", "error", err)
	}
}

func (h *Handler) fail(w http.ResponseWriter, r *http.Request, err error) {
	h.config.Logger.ErrorContext(r.Context(), "set-up failed", "error", err)
	http.Error(w, "an error occurred; the node's log says more", http.StatusInternalServerError)
}
