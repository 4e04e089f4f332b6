package jobs

import (
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/bxflow/bxflow/engine"
	"github.com/bxflow/bxflow/engine/expression"
)

// setting is an exported field of a step's settings, as its tags describe it.
type setting struct {
	value    reflect.Value
	object   string // entity, step or value: it holds the verb's own value; mapping: it does where that is a mapping
	key      string
	enum     []string
	fallback string
	required bool
	nested   bool // parameters of a call
	doc      string
}

// settingsOf lists the settings of a step. Those of embedded structs are its own.
func settingsOf(step any) []setting {
	return fieldsOf(reflect.ValueOf(step).Elem())
}

// fieldsOf lists the tagged fields of a struct.
func fieldsOf(v reflect.Value) []setting {
	var settings []setting
	for i := range v.NumField() {
		f := v.Type().Field(i)
		switch {
		case f.Anonymous && f.Type.Kind() == reflect.Struct:
			settings = append(settings, fieldsOf(v.Field(i))...)
		case f.Tag.Get("object") != "" || f.Tag.Get("key") != "":
			s := setting{
				value: v.Field(i), object: f.Tag.Get("object"), key: f.Tag.Get("key"), fallback: f.Tag.Get("default"),
				required: f.Tag.Get("required") == "true", nested: f.Tag.Get("nested") == "true", doc: f.Tag.Get("doc"),
			}
			if enum := f.Tag.Get("enum"); enum != "" {
				s.enum = strings.Split(enum, ",")
			}
			settings = append(settings, s)
		}
	}
	return settings
}

// stepDecoder fills the settings of one step.
type stepDecoder struct {
	*decoder
	verb  engine.Word
	exprs []placed // the expressions among the settings
	rows  []placed // those of a source that are evaluated for each of its rows
}

// fill reads the settings of a step from its mapping.
func (d *stepDecoder) fill(settings []setting, n *node) {
	for _, s := range settings {
		value := entry(n, s.key)
		own := entry(n, d.verb.Text)
		switch {
		case s.object == objectMapping:
			if own.shape == mapping {
				d.mapping(s, own)
			}
			continue
		case s.object != "":
			if own.shape != mapping || !slices.ContainsFunc(settings, func(s setting) bool { return s.object == objectMapping }) {
				d.object(s, own)
			}
			continue
		}
		switch {
		case value != nil:
			d.set(s, value)
		case s.required && !n.faulty:
			d.fault(d.verb.Pos, s.doc, "%s has no %s", d.verb.Text, s.key)
		case s.fallback != "":
			d.set(s, &node{text: s.fallback, plain: true})
		}
	}
}

// entry finds the value of a key.
func entry(n *node, key string) *node {
	for _, p := range n.pairs {
		if p.key.Text == key {
			return p.value
		}
	}
	return nil
}

// object reads the verb's own value.
func (d *stepDecoder) object(s setting, n *node) {
	if n.faulty {
		return
	}
	if n.shape == scalar && strings.TrimSpace(n.text) == "" || n.null {
		wanted := map[string]string{
			"entity": "the name of an entity, such as contact", "step": "the id of a step above", "value": "a value", "method": "the name of a REST method",
		}
		d.fault(d.verb.Pos, "", "%s needs %s", d.verb.Text, wanted[s.object])
		return
	}
	before := len(d.rows)
	d.set(s, n)
	// What begins a stream cannot depend on the stream's rows.
	d.exprs = append(d.exprs, d.rows[before:]...)
	d.rows = d.rows[:before]
}

// objectMapping marks the setting, a pointer to further settings, that holds the
// verb's own value where that is a mapping.
const objectMapping = "mapping"

// mapping reads the verb's own value where it is a mapping of keys.
func (d *stepDecoder) mapping(s setting, n *node) {
	s.value.Set(reflect.New(s.value.Type().Elem()))
	settings := settingsOf(s.value.Interface())
	d.checkKeys(n, settings, nil)
	before := len(d.rows)
	d.fill(settings, n)
	d.exprs = append(d.exprs, d.rows[before:]...)
	d.rows = d.rows[:before]
}

// set gives a setting its value, by the setting's type.
func (d *stepDecoder) set(s setting, n *node) {
	name := s.key
	if s.object != "" {
		name = d.verb.Text
	}
	switch to := s.value.Addr().Interface().(type) {
	case *string:
		if s.enum != nil {
			*to = d.choice(n, name, s.enum...)
			return
		}
		*to = d.word(n, name).Text
	case *bool:
		*to = d.choice(n, name, "true", "false") == "true"
	case *int:
		*to = d.integer(n, name)
	case *[]string:
		for _, w := range d.words(n, name) {
			*to = append(*to, w.Text)
		}
	case *engine.Word:
		*to = d.word(n, name)
	case *[]engine.Word:
		*to = d.words(n, name)
	case **engine.Value:
		*to = d.valueOf(n, name)
	case *[]engine.FieldValue:
		if s.nested {
			*to = d.nestedValues(n, name, "")
			return
		}
		*to = d.fieldValues(n, name)
	case *[][]engine.FieldValue:
		*to = d.fieldLists(n, name)
	case *[]engine.MatchList:
		*to = d.matchLists(n, name)
	default:
		panic(fmt.Sprintf("jobs: setting %s of %s has the type %s, which job files cannot hold", name, d.verb.Text, s.value.Type()))
	}
}

// integer reads a whole number from 0.
func (d *stepDecoder) integer(n *node, name string) int {
	w := d.word(n, name)
	value, err := strconv.Atoi(w.Text)
	if w.Text != "" && (err != nil || value < 0) {
		d.fault(w.Pos, "write a whole number", "%s cannot be %q", name, w.Text)
	}
	return value
}

// valueOf reads a value that may be, or contain, an expression.
func (d *stepDecoder) valueOf(n *node, name string) *engine.Value {
	v := &engine.Value{Pos: n.pos}
	switch {
	case n.faulty:
	case n.shape == mapping:
		d.fault(n.pos, "", "%s takes a value or a list of values, not a mapping", name)
		return v
	case n.shape == list:
		v.IsList = true
		for _, item := range n.items {
			if item.shape != scalar {
				d.fault(item.pos, "", "a value in the list of %s cannot be %s", name, item.describe())
				continue
			}
			v.List = append(v.List, d.scalarOf(item, name))
			n.faulty = n.faulty || item.faulty
		}
	default:
		v = d.scalarOf(n, name)
	}
	d.rows = append(d.rows, placed{v, n})
	return v
}

// scalarOf reads a single value.
func (d *stepDecoder) scalarOf(n *node, name string) *engine.Value {
	if n.missing() && !n.faulty {
		d.fault(n.pos, "write null to clear the field, \"\" for blank text, or leave the line out", "%s has nothing written after it", name)
	}
	d.forgotten(n, name)
	return &engine.Value{Pos: n.pos, Text: n.text, Null: n.null}
}

// forgotten warns of text that was probably meant as an expression: it would be written to the portal as it stands.
func (d *stepDecoder) forgotten(n *node, name string) {
	if !n.plain || strings.Contains(n.text, "${{") {
		return
	}
	bare := regexp.MustCompile(`^(row|params|env|vars)\.[\pL_][\pL\d_]*$`)
	if bare.MatchString(n.text) {
		d.warn(n.pos, "", fmt.Sprintf("write ${{ %s }} for its value, or put the text in quotes", n.text), "%s is the text %q", name, n.text)
		return
	}
	if near := regexp.MustCompile(`\$\s*\{.*\}`); near.MatchString(n.text) {
		d.warn(n.pos, "", "an expression is written ${{ … }}; put the text in quotes if it is none", "%s is the text %q", name, n.text)
	}
}

// fieldValues reads a mapping of fields to values.
func (d *stepDecoder) fieldValues(n *node, name string) []engine.FieldValue {
	if n.shape != mapping {
		if n.faulty {
			return nil
		}
		d.fault(n.pos, "write field: value lines below it", "%s is a mapping of fields, not %s", name, n.describe())
		return nil
	}
	var fields []engine.FieldValue
	for _, p := range n.pairs {
		if strings.Contains(p.key.Text, "${{") {
			d.fault(p.key.Pos, "write the name of a field", "a field of %s cannot be named by an expression", name)
			continue
		}
		if p.key.Text == includeKey {
			fields = append(fields, d.include(p.value, n.pairs, name)...)
			continue
		}
		fields = append(fields, engine.FieldValue{Field: p.key, Value: d.valueOf(p.value, p.key.Text)})
	}
	return fields
}

// fieldLists reads a mapping of fields to values, or a list of them. An empty list is none.
func (d *stepDecoder) fieldLists(n *node, name string) [][]engine.FieldValue {
	nodes := []*node{n}
	if n.shape == list {
		nodes = n.items
	}
	lists := [][]engine.FieldValue{}
	for _, item := range nodes {
		if item.missing() || item.shape == mapping && len(item.pairs) == 0 {
			d.fault(item.pos, "write field: value lines below it", "%s names no field", name)
			continue
		}
		lists = append(lists, d.fieldValues(item, name))
	}
	return lists
}

// nestedValues reads the parameters of a REST call, whose names get PHP's brackets
// for what is below others: fields[TITLE].
func (d *stepDecoder) nestedValues(n *node, name, path string) []engine.FieldValue {
	if n.shape != mapping && n.shape != list {
		if !n.faulty {
			d.fault(n.pos, "write name: value lines below it", "%s is a mapping of parameters, not %s", name, n.describe())
		}
		return nil
	}
	var fields []engine.FieldValue
	add := func(key engine.Word, value *node) {
		at := key.Text
		if path != "" {
			at = path + "[" + key.Text + "]"
		}
		if value.shape == mapping || value.shape == list && slices.ContainsFunc(value.items, func(item *node) bool { return item.shape != scalar }) {
			fields = append(fields, d.nestedValues(value, name, at)...)
			return
		}
		fields = append(fields, engine.FieldValue{Field: engine.Word{Text: at, Pos: key.Pos}, Value: d.valueOf(value, at)})
	}
	for _, p := range n.pairs {
		if strings.ContainsAny(p.key.Text, "$") {
			d.fault(p.key.Pos, "write the name of a parameter", "a parameter of %s cannot be named by an expression", name)
			continue
		}
		add(p.key, p.value)
	}
	for i, item := range n.items {
		add(engine.Word{Text: strconv.Itoa(i), Pos: item.pos}, item)
	}
	return fields
}

// matchLists reads a field, a list of fields that match together, or several lists that are tried in turn.
func (d *stepDecoder) matchLists(n *node, name string) []engine.MatchList {
	isList := func(item *node) bool { return item.shape == list }
	var lists []engine.MatchList
	nodes := []*node{n}
	if n.shape == list && slices.ContainsFunc(n.items, isList) {
		nodes = n.items
	}
	for _, item := range nodes {
		if words := d.words(item, name); len(words) > 0 {
			lists = append(lists, words)
		}
	}
	if len(lists) == 0 && len(nodes) > 0 && n.shape == list {
		d.fault(n.pos, "name a field, such as email", "%s names no field", name)
	}
	return lists
}

// checkKeys reports the keys of a step that its kind does not have, but for those that were reported already.
func (d *stepDecoder) checkKeys(n *node, settings []setting, common []string, reported ...string) {
	known := slices.Clone(common)
	for _, s := range settings {
		if s.key != "" {
			known = append(known, s.key)
		}
	}
	for _, p := range n.pairs {
		key := p.key.Text
		if key != d.verb.Text && !slices.Contains(known, key) && !slices.Contains(reported, key) {
			d.fault(p.key.Pos, expression.Suggest(key, slices.Clone(known)), "%s has no key %q", d.verb.Text, key)
		}
	}
}
