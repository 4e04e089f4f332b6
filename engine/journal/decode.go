package journal

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/bxflow/bxflow/engine"
	"github.com/bxflow/bxflow/engine/expression"
)

// valueReader reads what [encodeFields] wrote, token by token: a journal is read
// several times, and this is most of the work. What it doesn't know is a fault.
type valueReader struct{ *jsontext.Decoder }

func newValueReader() valueReader { return valueReader{jsontext.NewDecoder(strings.NewReader(""))} }

// decodeFields reads what encodeFields wrote.
func decodeFields(text string) (map[string]engine.FieldChange, error) {
	return newValueReader().fields(text)
}

// whole reads a text with read, which has to take all of it.
func (r valueReader) whole(text string, read func() error) error {
	r.Reset(strings.NewReader(text))
	if err := read(); err != nil {
		return err
	}
	if _, err := r.ReadToken(); !errors.Is(err, io.EOF) {
		return errors.New("more than one value")
	}
	return nil
}

// fields reads what encodeFields wrote.
func (r valueReader) fields(text string) (map[string]engine.FieldChange, error) {
	if text == "" {
		return nil, nil
	}
	fields := map[string]engine.FieldChange{}
	err := r.whole(text, func() error {
		return r.object(func(name string) error {
			f, err := r.fieldChange()
			if err != nil {
				return fmt.Errorf("field %q: %w", name, err)
			}
			fields[name] = f
			return nil
		})
	})
	return fields, err
}

// texts reads what encodeTexts wrote.
func (r valueReader) texts(text string) ([]string, error) {
	if text == "" {
		return nil, nil
	}
	var texts []string
	err := r.whole(text, func() error {
		return r.array(func() error {
			one, err := r.text()
			texts = append(texts, one)
			return err
		})
	})
	return texts, err
}

func (r valueReader) fieldChange() (f engine.FieldChange, err error) {
	err = r.object(func(key string) (err error) {
		switch key {
		case "before":
			f.Before, err = r.value()
		case "after":
			f.After, err = r.value()
		case "now":
			f.Now, err = r.value()
		case "add":
			f.Add, err = r.multi()
		case "remove":
			f.Remove, err = r.multi()
		case "drifted":
			f.Drifted, err = r.truth()
		default:
			err = unknownKey(key)
		}
		return err
	})
	return f, err
}

// value reads one value.
func (r valueReader) value() (any, error) {
	switch kind := r.PeekKind(); kind {
	case '[':
		return r.list()
	case '{':
		return r.tagged()
	default:
		t, err := r.ReadToken()
		if err != nil {
			return nil, err
		}
		switch kind {
		case 'n':
			return nil, nil
		case 't', 'f':
			return t.Bool(), nil
		case '0':
			return decodeNumber(t.String())
		default:
			return t.String(), nil
		}
	}
}

func decodeNumber(n string) (any, error) {
	if i, err := strconv.ParseInt(n, 10, 64); err == nil {
		return i, nil
	}
	f, err := strconv.ParseFloat(n, 64)
	if err != nil {
		return nil, fmt.Errorf("number %q is out of range", n)
	}
	return f, nil
}

func (r valueReader) list() ([]any, error) {
	list := []any{}
	err := r.array(func() error {
		v, err := r.value()
		list = append(list, v)
		return err
	})
	return list, err
}

// tagged reads an object, the one key of which says what it stands for.
func (r valueReader) tagged() (v any, err error) {
	keys := 0
	err = r.object(func(tag string) (err error) {
		keys++
		switch tag {
		case tagRef:
			var step string
			step, err = r.text()
			v = expression.Ref{Step: step}
		case tagText:
			v, err = r.parts()
		case tagMulti:
			v, err = r.multi()
		case tagFile:
			v, err = r.file()
		case tagMap:
			v, err = r.mapping()
		default:
			err = unknownKey(tag)
		}
		return err
	})
	if err == nil && keys != 1 {
		err = fmt.Errorf("an object with %d keys is no value", keys)
	}
	return v, err
}

func (r valueReader) mapping() (map[string]any, error) {
	m := map[string]any{}
	err := r.object(func(key string) (err error) {
		m[key], err = r.value()
		return err
	})
	return m, err
}

func (r valueReader) parts() (any, error) {
	parts, err := r.list()
	if err != nil {
		return nil, err
	}
	for _, p := range parts {
		switch p.(type) {
		case string, expression.Ref:
		default:
			return nil, fmt.Errorf("%v is no part of a text", p)
		}
	}
	return expression.Text{Parts: parts}, nil
}

func (r valueReader) multi() ([]engine.MultiValue, error) {
	rows := []engine.MultiValue{}
	err := r.array(func() error {
		var row engine.MultiValue
		err := r.object(func(key string) (err error) {
			switch key {
			case "id":
				row.ID, err = r.integer()
			case "type":
				row.Type, err = r.text()
			case "value":
				row.Value, err = r.text()
			default:
				err = unknownKey(key)
			}
			return err
		})
		rows = append(rows, row)
		return err
	})
	if err != nil {
		err = fmt.Errorf("rows of a multifield: %w", err)
	}
	return rows, err
}

func (r valueReader) file() (any, error) {
	parts, err := r.list()
	if err != nil || len(parts) != 5 {
		return nil, errors.Join(err, fmt.Errorf("%d parts of a file", len(parts)))
	}
	var f engine.File
	var ok [5]bool
	f.Name, ok[0] = parts[0].(string)
	f.Size, ok[1] = parts[1].(int64)
	f.SHA256, ok[2] = parts[2].(string)
	f.ID, ok[3] = parts[3].(int64)
	f.Path, ok[4] = parts[4].(string)
	if slices.Contains(ok[:], false) {
		return nil, errors.New("a part of a file is of another type")
	}
	return f, nil
}

// object reads an object; member reads the value of each key.
func (r valueReader) object(member func(key string) error) error {
	if _, err := r.token('{'); err != nil {
		return err
	}
	for r.PeekKind() != '}' {
		key, err := r.text()
		if err != nil {
			return err
		}
		if err := member(key); err != nil {
			return err
		}
	}
	_, err := r.token('}')
	return err
}

// array reads an array; element reads each of its values.
func (r valueReader) array(element func() error) error {
	if _, err := r.token('['); err != nil {
		return err
	}
	for r.PeekKind() != ']' {
		if err := element(); err != nil {
			return err
		}
	}
	_, err := r.token(']')
	return err
}

func (r valueReader) text() (string, error) {
	t, err := r.token('"')
	if err != nil {
		return "", err
	}
	return t.String(), nil
}

func (r valueReader) integer() (int64, error) {
	t, err := r.token('0')
	if err != nil {
		return 0, err
	}
	return strconv.ParseInt(t.String(), 10, 64)
}

func (r valueReader) truth() (bool, error) {
	t, err := r.ReadToken()
	if err != nil {
		return false, err
	}
	if kind := t.Kind(); kind != 't' && kind != 'f' {
		return false, fmt.Errorf("%s is neither true nor false", kind)
	}
	return t.Bool(), nil
}

// token reads a token of a kind.
func (r valueReader) token(kind jsontext.Kind) (jsontext.Token, error) {
	t, err := r.ReadToken()
	if err == nil && t.Kind() != kind {
		err = fmt.Errorf("%s in place of %s", t.Kind(), kind)
	}
	return t, err
}

func unknownKey(key string) error { return fmt.Errorf("an object with the key %q is no value", key) }
