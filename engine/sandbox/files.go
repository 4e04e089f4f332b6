package sandbox

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"slices"
	"strconv"
)

// storedFile is what is kept of a file. Nothing asks for its bytes, so they are not.
type storedFile struct {
	Name   string `json:"name"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
}

// listFile keeps the ids of files going up.
func (s *store) listFile(id int64, _ *storedFile) { s.lastFile = max(s.lastFile, id) }

// acceptFiles is [field.accept] for files. Of those that the field holds, the ones
// stay that are given by their ids; an id that it does not hold resets it ("How to
// upload files").
func (d *draft) acceptFiles(f *field, raw any) (val any, keep bool, err *apiError) {
	val, keep, err = f.accept(d.e.store, raw)
	if err != nil || !keep {
		return val, keep, err
	}
	var held, given []int64
	switch v := d.it.get(f).(type) {
	case int64:
		held = []int64{v}
	case []int64:
		held = v
	}
	list, several := val.([]int64)
	if id, ok := val.(int64); ok {
		list = []int64{id}
	}
	for _, id := range list {
		if slices.Contains(held, id) || d.e.store.fresh[id] {
			given = append(given, id)
		}
	}
	clear(d.e.store.fresh)
	switch {
	case len(given) == 0:
		return nil, true, nil
	case several:
		return given, true, nil
	}
	return given[0], true, nil
}

// acceptFile reads [name, base64] as a new file and {"id": n} as one to keep.
func (s *store) acceptFile(raw any) (val any, keep bool) {
	pair, ok := raw.(*array)
	if !ok {
		return nil, false
	}
	if id, ok := pair.get("id"); ok {
		return intOf(id), true
	}
	if pair.len() != 2 {
		return nil, false
	}
	content, err := base64.StdEncoding.DecodeString(textOf(pair.vals[1]))
	name := textOf(pair.vals[0])
	if err != nil || len(content) == 0 || name == "" {
		return nil, false
	}
	sum := sha256.Sum256(content)
	id := s.lastFile + 1
	s.files.put(id, &storedFile{Name: name, Size: int64(len(content)), SHA256: hex.EncodeToString(sum[:])})
	s.fresh[id] = true
	return id, true
}

// renderFile is a file as crm.item.* shows it. The address for programs has the
// webhook's secret in it.
func (s *store) renderFile(e *entity, f *field) func(int64) any {
	address := "/bitrix/services/main/ajax.php?action=crm.controller.item.getFile&entityTypeId=" + strconv.Itoa(e.typeID) +
		"&fieldName=" + f.upper + "&fileId="
	return func(id int64) any {
		n := strconv.FormatInt(id, 10)
		return object{
			{"id", id},
			{"url", address + n},
			{"urlMachine", s.webhook + "crm.controller.item.getFile/?token=crm%7C" + n},
		}
	}
}

// dumpedFiles is a file field as a dump has it: what was uploaded.
func (s *store) dumpedFiles(val any) any {
	return renderEach(val, func(id int64) any {
		rec, ok := s.files.get(id)
		if !ok {
			return object{{"id", id}}
		}
		return object{{"name", rec.Name}, {"size", rec.Size}, {"sha256", rec.SHA256}}
	})
}
