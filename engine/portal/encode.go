package portal

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"strconv"

	"github.com/bxflow/bxflow/engine"
)

// Encode turns a canonical value (see [Decode]) into what crm.item.add and
// crm.item.update take. Numbers may also be [json.Number] or float64, as they
// come back from storage. nil clears: "" for one value, an empty list for a
// multiple field.
func Encode(f *engine.Field, value any) (any, error) {
	if !f.Multiple {
		if list, ok := value.([]any); ok {
			if len(list) > 1 {
				return nil, fmt.Errorf("field %s: %d values for a field that holds one", f.Name, len(list))
			}
			value = nil
			if len(list) == 1 {
				value = list[0]
			}
		}
		return encodeOne(f, value)
	}
	list, ok := value.([]any)
	if !ok && value != nil {
		list = []any{value}
	}
	out := make([]any, 0, len(list))
	for _, v := range list {
		w, err := encodeOne(f, v)
		if err != nil {
			return nil, err
		}
		if w != "" {
			out = append(out, w)
		}
	}
	return out, nil
}

func encodeOne(f *engine.Field, value any) (any, error) {
	switch v := value.(type) {
	case nil:
		return "", nil
	case bool:
		if v {
			return "Y", nil
		}
		return "N", nil
	case string:
		return v, nil
	case int:
		return int64(v), nil
	case int64:
		return v, nil
	case json.Number:
		return v, nil
	case engine.File:
		return encodeFile(v)
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return nil, fmt.Errorf("field %s: %v is not a number that the portal can store", f.Name, v)
		}
		if v == math.Trunc(v) && math.Abs(v) < 1<<53 {
			return int64(v), nil // never 1e+06
		}
		return json.Number(strconv.FormatFloat(v, 'f', -1, 64)), nil
	}
	return nil, fmt.Errorf("field %s: a value of type %T can't be sent", f.Name, value)
}

// encodeFile reads a file of the job; one of the portal is kept ("How to upload
// files").
func encodeFile(f engine.File) (any, error) {
	if f.ID != 0 {
		return map[string]any{"id": f.ID}, nil
	}
	content, err := f.Read()
	if err != nil {
		return nil, err
	}
	return []any{f.Name, base64.StdEncoding.EncodeToString(content)}, nil
}

// canonical gives a value that may come from storage the type that [Decode]
// gives: numbers have lost theirs in JSON.
func canonical(f *engine.Field, value any) any {
	switch v := value.(type) {
	case json.Number:
		return decodeScalar(f.Type, v.String())
	case float64:
		return decodeScalar(f.Type, strconv.FormatFloat(v, 'f', -1, 64))
	case int:
		return decodeScalar(f.Type, strconv.Itoa(v))
	case int64:
		return decodeScalar(f.Type, strconv.FormatInt(v, 10))
	case string:
		return decodeScalar(f.Type, v)
	}
	return value
}
