package engine

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
)

// recordKeys gives the records of a stream the keys that make a row the same
// row next time.
type recordKeys struct {
	p      *Planning
	shape  *streamShape
	keyers []keyedStep
	given  bool // the source has key:
	looks  bool // whether keys are shared matters
}

type keyedStep struct {
	spec  *StepSpec
	keyer Keyer
}

// Keyer is a step whose match values tell records apart: import.
type Keyer interface {
	// RecordKey returns the values of the first complete match list for a
	// record, or ok false where there is none or it depends on other items.
	RecordKey(p *Planning, r *Record) (key []any, ok bool)
}

// Scout is a step that wants to see all rows of its stream before any of them
// is planned.
type Scout interface {
	Scouts() bool
	// Scout sees the next records for which the step is planned, of which only the
	// row is known.
	Scout(ctx context.Context, p *Planning, chunk []*Record) error
}

// KeyedSource is a source that can say whether its records bring their own
// keys.
type KeyedSource interface{ Keyed() bool }

func newRecordKeys(ctx context.Context, p *Planning, shape *streamShape) (*recordKeys, error) {
	k := &recordKeys{p: p, shape: shape}
	if s, ok := shape.stream.Source.Source.(KeyedSource); ok {
		k.given = s.Keyed()
	}
	creates := false
	for _, spec := range shape.stream.Steps {
		if keyer, ok := spec.Step.(Keyer); ok {
			k.keyers = append(k.keyers, keyedStep{spec, keyer})
		} else if spec.Step.Plans() {
			creates = true
		}
	}
	k.looks = !k.given && creates && len(k.keyers) > 0
	var scouts []*StepSpec
	for _, spec := range shape.stream.Steps {
		if s, ok := spec.Step.(Scout); ok && s.Scouts() {
			scouts = append(scouts, spec)
		}
	}
	if !k.looks && scouts == nil {
		return k, nil
	}
	return k, k.readAhead(ctx, scouts)
}

// readAhead reads the stream once more, ahead of planning, for what depends on
// all of its rows and must not depend on their order.
func (k *recordKeys) readAhead(ctx context.Context, scouts []*StepSpec) error {
	for chunk, err := range k.shape.stream.Source.Source.Records(ctx, k.p) {
		if err != nil {
			return err
		}
		sound := chunk[:0]
		for _, r := range chunk {
			r.env = k.p.baseEnv(r)
			if r.Fault == "" {
				sound = append(sound, r)
			}
		}
		if k.looks {
			if err := k.findShared(ctx, sound); err != nil {
				return err
			}
		}
		for _, spec := range scouts {
			k.p.spec = spec
			if s, ok := spec.Step.(Scout); ok {
				if err := s.Scout(ctx, k.p, spec.wanted(sound)); err != nil {
					return err
				}
			}
		}
		if err := k.p.index.flush(ctx); err != nil {
			return err
		}
	}
	return nil
}

// wanted are the records for which the step's condition holds. Where it can't be
// worked out, planning will say so.
func (s *StepSpec) wanted(chunk []*Record) []*Record {
	if s.When == nil {
		return chunk
	}
	var wanted []*Record
	for _, r := range chunk {
		if yes, err := s.When.Eval(r.env); yes && err == nil {
			wanted = append(wanted, r)
		}
	}
	return wanted
}

// findShared learns which keys several rows share: those rows are told apart by
// their content as well.
func (k *recordKeys) findShared(ctx context.Context, chunk []*Record) error {
	hashes := make([]Hash, 0, len(chunk))
	contents := make([]Hash, 0, len(chunk))
	for _, r := range chunk {
		if key, ok := k.matchKey(r); ok {
			hashes = append(hashes, HashOf("seen", k.shape.stream.Source.ID, key))
			contents = append(contents, HashOf(r.Cells))
		}
	}
	seen, err := k.p.index.get(ctx, hashes)
	if err != nil {
		return err
	}
	for i, h := range hashes {
		content := contents[i]
		switch first, ok := seen[h]; {
		case !ok:
			seen[h] = content[:]
			k.p.index.put(h, content[:])
		case len(first) == len(content) && Hash(first) != content:
			seen[h] = []byte(shared)
			k.p.index.put(h, []byte(shared))
		}
	}
	return nil
}

// shared marks a key that rows of different content have.
const shared = "shared"

// assign gives each record of a chunk its key.
func (k *recordKeys) assign(ctx context.Context, chunk []*Record) error {
	var unkeyed []*Record
	for _, r := range chunk {
		if r.Key == "" && r.Fault == "" {
			unkeyed = append(unkeyed, r)
		}
	}
	if len(unkeyed) == 0 {
		return nil
	}
	if len(k.keyers) == 0 {
		return k.assignContent(ctx, unkeyed)
	}
	return k.assignMatch(ctx, unkeyed)
}

// assignMatch keys records by the match values of the stream's imports.
func (k *recordKeys) assignMatch(ctx context.Context, records []*Record) error {
	hashes := make([]Hash, len(records))
	keys := make([]string, len(records))
	for i, r := range records {
		key, ok := k.matchKey(r)
		if !ok {
			keys[i] = "row:" + hex.EncodeToString(contentHash(r))
			continue
		}
		keys[i] = key
		hashes[i] = HashOf("seen", k.shape.stream.Source.ID, key)
	}
	seen, err := k.p.index.get(ctx, hashes)
	if err != nil {
		return err
	}
	for i, r := range records {
		r.Key = keys[i]
		if string(seen[hashes[i]]) == shared {
			r.Key += "#" + hex.EncodeToString(contentHash(r))
			k.p.Warn("several rows share the match values of the imports above a create; they are told apart by their content: `key:` on the read would be surer")
		}
	}
	return nil
}

// assignContent keys records by what they hold, and equal ones by their
// occurrence.
func (k *recordKeys) assignContent(ctx context.Context, records []*Record) error {
	hashes := make([]Hash, len(records))
	for i, r := range records {
		hashes[i] = HashOf("content", k.shape.stream.Source.ID, r.Cells)
	}
	counted, err := k.p.index.get(ctx, hashes)
	if err != nil {
		return err
	}
	counts := map[Hash]int{}
	for h, text := range counted {
		var n int
		if err := json.Unmarshal(text, &n); err != nil {
			return fmt.Errorf("index of the plan: %w", err)
		}
		counts[h] = n
	}
	for i, r := range records {
		h := hashes[i]
		counts[h]++
		r.Key = fmt.Sprintf("row:%s/%d", hex.EncodeToString(contentHash(r)), counts[h])
		text, err := json.Marshal(counts[h])
		if err != nil {
			return err
		}
		k.p.index.put(h, text)
	}
	return nil
}

func contentHash(r *Record) []byte {
	h := HashOf(r.Cells)
	return h[:10]
}

// matchKey joins the match values of all imports of the stream.
func (k *recordKeys) matchKey(r *Record) (string, bool) {
	var parts []string
	saved := k.p.spec
	defer func() { k.p.spec = saved }()
	for _, step := range k.keyers {
		k.p.spec = step.spec
		values, ok := step.keyer.RecordKey(k.p, r)
		if !ok {
			continue
		}
		for _, v := range values {
			parts = append(parts, text(v))
		}
	}
	return strings.Join(parts, "|"), len(parts) > 0
}
