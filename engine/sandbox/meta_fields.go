package sandbox

import "strconv"

// descriptors is the answer of a *.fields method of metadata.
func descriptors(fields []metaField, title func(string) string) object {
	answer := make(object, len(fields))
	for i, f := range fields {
		answer[i] = pair{f.name, f.descriptor(title(f.name))}
	}
	return answer
}

// knownMeta tells which fields a list of metadata can be filtered by.
func knownMeta(fields []metaField) func(string) bool {
	names := map[string]bool{}
	for _, f := range fields {
		names[f.name] = true
	}
	return func(name string) bool { return names[name] }
}

// textOrNull is null in place of an empty text.
func textOrNull(text string) any {
	if text == "" {
		return nil
	}
	return text
}

// idOrNull is an id as text, null in place of 0.
func idOrNull(id int64) any {
	if id == 0 {
		return nil
	}
	return strconv.FormatInt(id, 10)
}
