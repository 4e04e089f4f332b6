package engine

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Part is one thing of a catalog: an entity, a field, a value of its list, a
// category, a stage, a person. A plan keeps the parts that it was made with, so
// that what has changed since can be named.
type Part struct {
	// ID stays while names change. That of a part of another begins with the
	// other's and a slash.
	ID   string `json:"id"`
	Name string `json:"name"` // for people: field "CPF" of contact
	Sum  string `json:"sum"`  // a digest of what the catalog says of it, without its own parts
}

// Parts are all parts of the catalog, each after the one that it is part of.
func (c *Catalog) Parts() []Part {
	var l partList
	for _, e := range c.Entities {
		l.entity(e)
	}
	for _, u := range c.Users {
		l.add("person/"+strconv.FormatInt(u.ID, 10), "person", cmp.Or(u.Name, u.Email), "", u)
	}
	return l
}

// Changes are the parts of an earlier catalog that are others now or gone, in
// words: field "CPF" of contact was removed. What was added is none: a plan
// doesn't name it.
func (c *Catalog) Changes(earlier []Part) []string {
	now := map[string]string{}
	for _, p := range c.Parts() {
		now[p.ID] = p.Sum
	}
	var changes, gone []string
	for _, p := range earlier {
		sum, there := now[p.ID]
		switch {
		case slices.ContainsFunc(gone, func(id string) bool { return strings.HasPrefix(p.ID, id) }):
		case !there:
			changes, gone = append(changes, p.Name+" was removed"), append(gone, p.ID+"/")
		case sum != p.Sum:
			changes = append(changes, p.Name+" was changed")
		}
	}
	return changes
}

// partList gathers parts.
type partList []Part

// maxPartName is how much of a name is kept, in characters: lists can be long
// and their values sentences.
const maxPartName = 60

func (l *partList) add(id, kind, name, of string, content any) {
	text, err := json.Marshal(content)
	if err != nil {
		panic(err) // the types hold nothing that JSON can't express
	}
	sum := sha256.Sum256(text)
	if runes := []rune(name); len(runes) > maxPartName {
		name = string(runes[:maxPartName]) + "…"
	}
	if kind != "" {
		name = kind + " " + strconv.Quote(name)
	}
	if of != "" {
		name += " of " + of
	}
	*l = append(*l, Part{ID: id, Name: name, Sum: hex.EncodeToString(sum[:4])})
}

func (l *partList) entity(e *Entity) {
	stages := map[Option]bool{}
	for _, c := range e.Categories {
		for _, s := range c.Stages {
			stages[Option{ID: s.ID, Name: s.Name}] = true
		}
	}
	id, bare := strconv.Itoa(e.TypeID), *e
	bare.Fields, bare.Categories = nil, nil
	l.add(id, "", e.Name, "", bare)
	for _, f := range e.Fields {
		id, bare := id+"/"+f.Name, *f
		bare.Options = nil
		l.add(id, "field", cmp.Or(f.Title, f.Name), e.Name, bare)
		for _, o := range f.Options {
			if f.Type == FieldStatus && stages[o] { // told once, with its category
				continue
			}
			l.add(id+"/"+o.ID, "value", o.Name, fmt.Sprintf("field %q of %s", cmp.Or(f.Title, f.Name), e.Name), o)
		}
	}
	for _, c := range e.Categories {
		id, list := fmt.Sprintf("%s/category/%d", id, c.ID), c.Stages
		c.Stages = nil
		l.add(id, "category", c.Name, e.Name, c)
		for _, s := range list {
			l.add(id+"/"+s.ID, "stage", s.Name, e.Name, s)
		}
	}
}
