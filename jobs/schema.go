package jobs

import (
	"bytes"
	"encoding/json"
	"reflect"

	"github.com/bxflow/bxflow/engine"
)

// object is a JSON object. Its keys are written in order, so that the schema is the same every time.
type object = map[string]any

// Schema is the JSON Schema of job files with these kinds of steps, for editors: indented, and the same every time. What
// depends on other parts of the file, or on the portal, is left to [Parse].
func Schema(kinds []engine.StepKind) ([]byte, error) {
	schema := object{
		"$schema":              "https://json-schema.org/draft/2020-12/schema",
		"title":                "bxflow job",
		"type":                 "object",
		"required":             []string{"version", "name", "steps"},
		"additionalProperties": false,
		"properties": object{
			"version": object{"const": 1, "description": "The format of the file."},
			"name": object{
				"type": "string", "minLength": 1, "maxLength": 100,
				"description": "Tells this job from others on the portal. Keys of the items that it makes are derived from it.",
			},
			"description": text("What the job is for."),
			"portal":      text("A name, a webhook URL, sandbox or sandbox:memory."),
			"params":      object{"type": "object", "additionalProperties": paramSchema(), "description": "Typed inputs, given by --param name=value."},
			"env":         object{"type": "array", "items": object{"type": "string"}, "description": "Environment variables that expressions may use."},
			"vars":        object{"type": "object", "additionalProperties": ref("value"), "description": "Named expressions, worked out once for each record. Steps use them as vars.name."},
			"maps":        object{"type": "object", "additionalProperties": object{"type": "string"}, "description": "Files of old and new names, such as maps/stages.csv with the columns from and to. Steps use them as pick(value, maps.name)."},
			"fuse":        object{"type": "boolean", "default": false, "description": "true sends changes of one item that follow each other in one command: fewer requests, and robots see one change."},
			"mode":        object{"enum": []string{"apply", "plan"}, "default": "apply", "description": "What a scheduled job does: plan writes nothing."},
			"schedule":    scheduleSchema(),
			"on_error":    ref("onError"),
			"guard": object{
				"description": "Conditions on the plan. A broken one stops the run before it writes.",
				"anyOf":       []object{ref("condition"), {"type": "array", "items": ref("condition")}},
			},
			"notify": object{"type": "array", "maxItems": mostNotices, "items": noticeSchema(), "description": "Who is told how runs end. Values may use env and params."},
			"steps": object{
				"type": "array", "minItems": 1, "items": stepSchema(kinds),
				"description": "Streams: read or select begins one, the steps below work on its records.",
			},
			"tests": object{"type": "array", "items": testSchema(kinds), "description": "Examples of what the job does, for bxflow test."},
		},
		"$defs": definitions(),
	}
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(schema); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// text is a string with a description.
func text(doc string) object { return object{"type": "string", "description": doc} }

// ref refers to a definition.
func ref(name string) object { return object{"$ref": "#/$defs/" + name} }

// definitions are the shapes that several keys have.
func definitions() object {
	word := []string{"string", "number"}
	return object{
		"word":      object{"type": word},
		"words":     object{"anyOf": []object{ref("word"), {"type": "array", "items": ref("word")}}},
		"condition": object{"type": []string{"string", "boolean"}, "description": "An expression that is true or false."},
		"scalar":    object{"type": []string{"string", "number", "boolean", "null"}},
		"value": object{
			"description": "A value, ${{ expression }}, text with expressions in it, or a list of these. null clears a field.",
			"anyOf":       []object{ref("scalar"), {"type": "array", "items": ref("scalar")}},
		},
		"fields": object{
			"type": "object", "additionalProperties": ref("value"),
			"properties": object{includeKey: object{"allOf": []object{ref("words")}, "description": "A file, or several, with more fields. Those written here win."}},
		},
		"match": object{"anyOf": []object{
			ref("word"), {"type": "array", "items": ref("words")},
		}},
		"onError": object{
			"description": "When failed rows stop the run. Default: never.",
			"anyOf": []object{
				{"enum": []string{"continue", "stop"}},
				{
					"type": "object", "additionalProperties": false, "required": []string{"stop_after"},
					"properties": object{"stop_after": object{"type": []string{"integer", "string"}, "description": "So many rows (50), or a share (5%)."}},
				},
			},
		},
	}
}

// paramSchema describes one parameter.
func paramSchema() object {
	return object{
		"type": "object", "additionalProperties": false,
		"properties": object{
			"type":        object{"enum": paramTypes(), "default": "string"},
			"default":     object{"type": []string{"string", "number", "boolean"}},
			"required":    object{"type": "boolean"},
			"values":      object{"type": "array", "items": ref("word"), "description": "What an enum may be."},
			"description": object{"type": "string"},
		},
	}
}

// testSchema describes one test.
func testSchema(kinds []engine.StepKind) object {
	rows := object{"type": "array", "items": object{"type": "object", "additionalProperties": ref("scalar")}}
	var given []object
	for _, kind := range kinds {
		if kind.Verb == givenVerb {
			given = append(given, kindSchema(kind))
		}
	}
	expected := object{
		"row":    object{"type": "integer", "minimum": 1, "description": "The row that it comes from, from 1."},
		"fields": ref("fields"),
		"error":  text("A part of the reason why the row is invalid, skipped or in conflict."),
	}
	var one []object
	for _, kind := range expectable() {
		expected[kind] = object{"type": "string", "description": "The id of a step that plans this."}
		one = append(one, object{"required": []string{kind}})
	}
	return object{
		"type": "object", "additionalProperties": false, "required": []string{"name", "expect"},
		"properties": object{
			"name":   object{"type": "string"},
			"params": object{"type": "object", "additionalProperties": ref("word")},
			"env":    object{"type": "object", "additionalProperties": ref("word"), "description": "Values of environment variables. Others are blank."},
			"now":    object{"type": "string", "description": "The day, or the time, on which the test takes place: 2026-11-23 or 2026-11-23T10:00:00Z."},
			"portal": object{"type": "array", "items": object{"anyOf": given}, "description": "Items that are there before: steps of the verb create."},
			"portals": object{
				"type": "object", "additionalProperties": object{"type": "array", "items": object{"anyOf": given}},
				"description": "Items on the other portals that the job reads, by the portal's name.",
			},
			"rows": object{
				"description": "The rows of the job's read; of several, by the id of each.",
				"anyOf":       []object{rows, {"type": "object", "additionalProperties": rows}},
			},
			"expect": object{
				"type": "array", "description": "All that the job plans but what is unchanged or skipped, which may be named, too.",
				"items": object{"type": "object", "additionalProperties": false, "properties": expected, "oneOf": one},
			},
		},
	}
}

// noticeSchema describes who is told of what.
func noticeSchema() object {
	ends := object{"enum": engine.Ends()}
	person := ref("word")
	person["description"] = "Who is notified in the portal: an e-mail address, a name or an id. Takes the scope im."
	return object{
		"type": "object", "additionalProperties": false, "required": []string{"on"},
		"properties": object{
			"on": object{
				"anyOf":       []object{ends, {"type": "array", "minItems": 1, "items": ends}},
				"description": "partial: some rows failed. plan: a scheduled job of mode plan would change something.",
			},
			"webhook": text("${{ env.NAME }}: the URL that a small JSON is posted to."),
			"email": object{
				"type": "object", "additionalProperties": false, "required": []string{"to", "from", "server"},
				"properties": object{
					"to":     object{"anyOf": []object{{"type": "string"}, {"type": "array", "minItems": 1, "items": object{"type": "string"}}}},
					"from":   object{"type": "string"},
					"server": text("${{ env.NAME }}: smtp://user:password@host:587 (STARTTLS), or smtps://."),
				},
			},
			"person": person,
		},
		"oneOf": []object{{"required": []string{"webhook"}}, {"required": []string{"email"}}, {"required": []string{"person"}}},
	}
}

// scheduleSchema describes when the job is due.
func scheduleSchema() object {
	return object{
		"type": "object", "additionalProperties": false, "required": []string{"cron"},
		"properties": object{
			"cron":     text("Minute, hour, day, month, weekday; or @every 15m."),
			"timezone": text("Such as America/Sao_Paulo. Default: the machine's."),
			"overlap":  object{"enum": []string{"skip", "queue"}, "default": "skip", "description": "What to do when the job is still running."},
			"catch_up": object{"enum": []string{"none", "once"}, "default": "none", "description": "What to do about times that were missed."},
		},
	}
}

// stepSchema describes a step: one of the kinds.
func stepSchema(kinds []engine.StepKind) object {
	options := make([]object, 0, len(kinds))
	for _, kind := range kinds {
		options = append(options, kindSchema(kind))
	}
	return object{"anyOf": options}
}

// kindSchema describes the steps of a kind by the tags of its settings.
func kindSchema(kind engine.StepKind) object {
	properties := object{
		"id":   object{"type": "string", "description": "By which steps below refer to this one. Default: the entity's name."},
		"name": object{"type": "string", "description": "For people."},
	}
	var settings []setting
	if kind.Source != nil {
		settings = settingsOf(kind.Source())
	} else {
		settings = settingsOf(kind.Step())
		properties["when"] = object{"description": "The step is for records of which this is true.", "allOf": []object{ref("condition")}}
		properties["on_error"] = ref("onError")
	}
	required := []string{kind.Verb}
	for _, s := range settings {
		if s.object == objectMapping {
			continue
		}
		property := s.schema()
		if s.object != "" {
			if inner := mappingOf(settings); inner != nil {
				property = object{"anyOf": []object{property, inner}}
			}
			property["description"] = kind.Doc
			properties[kind.Verb] = property
			continue
		}
		if s.required {
			required = append(required, s.key)
		}
		properties[s.key] = property
	}
	return object{
		"type": "object", "title": kind.Verb, "description": kind.Doc, "required": required,
		"additionalProperties": false, "properties": properties,
	}
}

// mappingOf describes the verb's own value as a mapping, nil if it can't be one.
func mappingOf(settings []setting) object {
	for _, s := range settings {
		if s.object != objectMapping {
			continue
		}
		properties, required := object{}, []string{}
		for _, inner := range settingsOf(reflect.New(s.value.Type().Elem()).Interface()) {
			properties[inner.key] = inner.schema()
			if inner.required {
				required = append(required, inner.key)
			}
		}
		return object{"type": "object", "description": s.doc, "required": required, "additionalProperties": false, "properties": properties}
	}
	return nil
}

// schema describes one setting.
func (s setting) schema() object {
	property := object{}
	switch s.value.Addr().Interface().(type) {
	case *bool:
		property["type"] = "boolean"
	case *int:
		property["type"], property["minimum"] = "integer", 0
	case *string:
		property["type"] = "string"
		if s.enum != nil {
			property = object{"enum": s.choices()}
		}
	case *engine.Word:
		property = ref("word")
	case *[]string, *[]engine.Word:
		property = ref("words")
	case **engine.Value:
		property = ref("value")
	case *[]engine.FieldValue:
		property = ref("fields")
		if s.nested {
			property = object{"type": "object"}
		}
	case *[][]engine.FieldValue:
		property = object{"anyOf": []object{ref("fields"), {"type": "array", "items": ref("fields")}}}
	case *[]engine.MatchList:
		property = ref("match")
	}
	if s.fallback != "" {
		property["default"] = s.defaultValue()
	}
	if s.doc != "" {
		property["description"] = s.doc
	}
	return property
}

// choices are the words of an enum as editors see them: YAML of version 1.1, which many editors follow, reads on and off
// as true and false.
func (s setting) choices() []any {
	choices := make([]any, 0, len(s.enum))
	for _, word := range s.enum {
		choices = append(choices, word)
		if word == "on" || word == "off" {
			choices = append(choices, word == "on")
		}
	}
	return choices
}

// defaultValue is the default as JSON.
func (s setting) defaultValue() any {
	switch s.value.Interface().(type) {
	case bool:
		return s.fallback == "true"
	case int:
		return json.Number(s.fallback)
	}
	return s.fallback
}
