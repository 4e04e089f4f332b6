package sandbox

import (
	"bytes"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
)

// maxBody is how large a request's body may be.
const maxBody = 64 << 20

// readParams reads the parameters of a request: those of the query, overridden
// by those of the body. A body that isn't what its Content-Type says counts as
// no body at all, without a word (observed): the method then runs without it.
func readParams(r *http.Request, body []byte) *array {
	params := parseQuery(r.URL.RawQuery)
	if len(bytes.TrimSpace(body)) == 0 {
		return params
	}
	kind, options, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil {
		return params
	}
	switch kind {
	case "application/json":
		if v, ok := decodeJSON(body); ok {
			if a, ok := v.(*array); ok {
				for key, val := range a.all() {
					params.set(key, val)
				}
			}
		}
	case "application/x-www-form-urlencoded":
		form := &array{}
		addQuery(form, string(body))
		for key, val := range form.all() {
			params.set(key, val)
		}
	case "multipart/form-data":
		form := readMultipart(body, options["boundary"])
		for key, val := range form.all() {
			params.set(key, val)
		}
	}
	return params
}

// readMultipart reads the plain parts of a form; uploaded files are no
// parameters.
func readMultipart(body []byte, boundary string) *array {
	form := &array{}
	if boundary == "" {
		return form
	}
	parts := multipart.NewReader(bytes.NewReader(body), boundary)
	for range maxVars {
		part, err := parts.NextPart()
		if err != nil {
			return form
		}
		if part.FileName() != "" {
			continue
		}
		val, err := io.ReadAll(part)
		if err != nil {
			return form
		}
		setVariable(form, part.FormName(), cleanText(string(val)))
	}
	return form
}
