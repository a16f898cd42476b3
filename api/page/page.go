// Package page shows pages of HTML that are whole without scripts, to people and to what reads to
// them. What a page may load or send to is in its headers: nothing but its own style, and forms
// to this installation.
package page

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"html/template"
	"net/http"
	"strings"
)

const style = `
:root { color-scheme: light dark; }
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 26rem; margin: 4rem auto; padding: 0 1rem; }
label { display: block; margin-top: 1rem; }
input:not([type=checkbox]) { box-sizing: border-box; width: 100%; padding: .5rem; font: inherit; }
button { margin: 1.5rem .5rem 0 0; padding: .5rem 1.5rem; font: inherit; }
.message { border-inline-start: .25rem solid #b00020; padding-inline-start: .75rem; }
.message:focus { outline: 2px solid; outline-offset: 4px; }
`

var styleSource = func() string {
	sum := sha256.Sum256([]byte(style))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}()

// Parse makes a page of the templates "title" and "main", which text defines.
func Parse(text string) *template.Template {
	frame := template.Must(template.New("page").Funcs(template.FuncMap{"style": func() template.CSS { return style }}).Parse(`<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{template "title" .}} - Annal</title>
<style>{{style}}</style>
</head>
<body>
<main>
<h1>{{template "title" .}}</h1>
{{template "main" .}}
</main>
</body>
</html>
`))
	return template.Must(frame.Parse(text))
}

// Show answers with a page. Its forms may lead to this installation, and from there on to the
// sources given, as a content security policy names them.
func Show(w http.ResponseWriter, status int, t *template.Template, data any, formActions ...string) error {
	var body bytes.Buffer
	if err := t.Execute(&body, data); err != nil {
		return err
	}
	header := w.Header()
	header.Set("Content-Type", "text/html;charset=UTF-8")
	header.Set("Content-Security-Policy", "default-src 'none'; style-src "+styleSource+"; form-action "+
		strings.Join(append([]string{"'self'"}, formActions...), " ")+"; base-uri 'none'; frame-ancestors 'none'")
	Guard(header)
	w.WriteHeader(status)
	_, err := w.Write(body.Bytes())
	return err
}

// Guard sets headers of every answer that a browser shows or follows. The policy is not
// no-referrer, with which browsers do not say where a form comes from.
func Guard(header http.Header) {
	header.Set("Cache-Control", "no-store")
	header.Set("Referrer-Policy", "same-origin")
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("X-Frame-Options", "DENY")
}

var message = Parse(`{{define "title"}}{{.Title}}{{end}}{{define "main"}}<p>{{.Text}}</p>{{with .Link}}<p><a href="{{.}}">{{$.LinkText}}</a></p>{{end}}{{end}}`)

// Message is a page that says something, and where to go from there.
type Message struct {
	Title, Text    string
	Link, LinkText string // "" for none
}

// Say answers with a message.
func Say(w http.ResponseWriter, status int, m Message) error { return Show(w, status, message, m) }
