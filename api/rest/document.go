package rest

import (
	"encoding/json"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

func (a *API) documentRoutes() []route {
	return []route{{
		method: http.MethodGet, path: annalPath + "/openapi.json", summary: "This description of what is served",
		handle: a.handleGetDocument, answer: map[string]any{},
	}}
}

func (a *API) handleGetDocument(c *call) error {
	return c.json(http.StatusOK, a.Document())
}

// jsonObject is an object of the document.
type jsonObject = map[string]any

// Document describes the routes in OpenAPI 3.
func (a *API) Document() map[string]any {
	schemas := jsonObject{}
	paths := map[string]jsonObject{}
	for _, r := range a.routes {
		if r.variant {
			continue
		}
		if paths[r.path] == nil {
			paths[r.path] = jsonObject{}
		}
		paths[r.path][strings.ToLower(r.method)] = r.operation(schemas)
	}
	return jsonObject{
		"openapi": "3.0.1",
		"info": jsonObject{
			"title": a.DisplayName, "version": a.Version,
			"description": "Paths below /rest other than /rest/annal are Bitbucket Data Center's. \"latest\" may stand for the version everywhere.",
		},
		"servers": []jsonObject{{"url": strings.TrimSuffix(a.BaseURL.String(), "/")}},
		"paths":   paths,
		"components": jsonObject{"schemas": schemas, "securitySchemes": jsonObject{
			"basic": jsonObject{"type": "http", "scheme": "basic"}, "token": jsonObject{"type": "http", "scheme": "bearer"},
		}},
		"security": []jsonObject{{}, {"basic": []string{}}, {"token": []string{}}},
	}
}

func (r route) operation(schemas jsonObject) jsonObject {
	parameters := []jsonObject{}
	for _, name := range parameter.FindAllStringSubmatch(r.path, -1) {
		parameters = append(parameters, jsonObject{"name": name[1], "in": "path", "required": true, "schema": jsonObject{"type": "string"}})
	}
	query := r.query
	if r.paged {
		query = append(slices.Clone(query), "start", "limit")
	}
	for _, name := range query {
		kind := "string"
		if slices.Contains([]string{"start", "limit", "after"}, name) {
			kind = "integer"
		}
		parameters = append(parameters, jsonObject{"name": name, "in": "query", "schema": jsonObject{"type": kind}})
	}
	good := jsonObject{"description": "Done."}
	if r.answer != nil {
		schema := schemaOf(reflect.TypeOf(r.answer), schemas)
		if r.paged {
			schema = pageSchema(schema)
		}
		good["content"] = jsonObject{r.answerType(): jsonObject{"schema": schema}}
	}
	operation := jsonObject{
		"summary": r.summary, "parameters": parameters,
		"responses": jsonObject{
			strconv.Itoa(r.success()): good,
			"default": jsonObject{
				"description": "What went wrong.",
				"content":     jsonObject{contentType: jsonObject{"schema": schemaOf(reflect.TypeFor[restErrors](), schemas)}},
			},
		},
	}
	if r.body != nil {
		operation["requestBody"] = jsonObject{"content": jsonObject{
			"application/json": jsonObject{"schema": schemaOf(reflect.TypeOf(r.body), schemas)},
		}}
	}
	return operation
}

// answerType is the content type of r's answer: JSON, but for text and bytes.
func (r route) answerType() string {
	switch r.answer.(type) {
	case string:
		if !r.paged {
			return "text/plain"
		}
	case []byte:
		return "*/*"
	}
	return contentType
}

func pageSchema(values jsonObject) jsonObject {
	return jsonObject{"type": "object", "properties": jsonObject{
		"size": jsonObject{"type": "integer"}, "limit": jsonObject{"type": "integer"}, "isLastPage": jsonObject{"type": "boolean"},
		"start": jsonObject{"type": "integer"}, "nextPageStart": jsonObject{"type": "integer", "nullable": true},
		"values": jsonObject{"type": "array", "items": values},
	}}
}

// schemaOf describes how encoding/json writes a type. Structs with a name go to
// schemas, once each.
func schemaOf(t reflect.Type, schemas jsonObject) jsonObject {
	switch {
	case t == reflect.TypeFor[json.RawMessage]():
		return jsonObject{}
	case t == reflect.TypeFor[[]byte]():
		return jsonObject{"type": "string", "format": "binary"}
	}
	switch t.Kind() {
	case reflect.Pointer:
		schema := schemaOf(t.Elem(), schemas)
		if _, named := schema["$ref"]; !named {
			schema["nullable"] = true
		}
		return schema
	case reflect.Bool:
		return jsonObject{"type": "boolean"}
	case reflect.Int, reflect.Int32, reflect.Int64:
		return jsonObject{"type": "integer"}
	case reflect.String:
		return jsonObject{"type": "string"}
	case reflect.Slice:
		return jsonObject{"type": "array", "items": schemaOf(t.Elem(), schemas)}
	case reflect.Struct:
		return structSchema(t, schemas)
	default: // maps and any
		return jsonObject{"type": "object"}
	}
}

func structSchema(t reflect.Type, schemas jsonObject) jsonObject {
	name := strings.TrimPrefix(t.Name(), "rest")
	if strings.Contains(name, "[") { // a page within an answer
		return fieldsSchema(t, schemas)
	}
	if _, known := schemas[name]; !known {
		schemas[name] = nil // stops the recursion of types that hold themselves
		schemas[name] = fieldsSchema(t, schemas)
	}
	return jsonObject{"$ref": "#/components/schemas/" + name}
}

func fieldsSchema(t reflect.Type, schemas jsonObject) jsonObject {
	properties := jsonObject{}
	for _, field := range reflect.VisibleFields(t) {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		if field.Anonymous || name == "" || name == "-" {
			continue
		}
		properties[name] = schemaOf(field.Type, schemas)
	}
	return jsonObject{"type": "object", "properties": properties}
}
