package engine

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash"
	"maps"
	"strings"
)

// planIndex is the draft's index with the entries of the chunk in hand before
// it, so that records of one chunk see each other.
type planIndex struct {
	draft Draft
	fresh map[Hash][]byte
}

func newPlanIndex(d Draft) *planIndex { return &planIndex{draft: d, fresh: map[Hash][]byte{}} }

func (x *planIndex) put(key Hash, value []byte) { x.fresh[key] = value }

func (x *planIndex) get(ctx context.Context, keys []Hash) (map[Hash][]byte, error) {
	var ask []Hash
	for _, k := range keys {
		if _, ok := x.fresh[k]; !ok {
			ask = append(ask, k)
		}
	}
	found := map[Hash][]byte{}
	if len(ask) > 0 {
		stored, err := x.draft.Get(ctx, ask)
		if err != nil {
			return nil, err
		}
		maps.Copy(found, stored)
	}
	for _, k := range keys {
		if v, ok := x.fresh[k]; ok {
			found[k] = v
		}
	}
	return found, nil
}

func (x *planIndex) flush(ctx context.Context) error {
	if len(x.fresh) == 0 {
		return nil
	}
	err := x.draft.Put(ctx, x.fresh)
	clear(x.fresh)
	return err
}

// Claim is a record's hold on a key within one step: the first record to claim
// a key owns it, and those after it learn who that was.
type Claim struct {
	Source string `json:"source"` // of the owner
	Digest Hash   `json:"digest"` // of what the owner wants of the item
	Ref    string `json:"ref,omitempty"`
	ID     int64  `json:"id,omitempty"`
}

// Claims returns the owners of keys of the step in hand, as far as there are.
func (p *Planning) Claims(ctx context.Context, keys []Hash) (map[Hash]*Claim, error) {
	stored, err := p.index.get(ctx, keys)
	if err != nil {
		return nil, err
	}
	claims := make(map[Hash]*Claim, len(stored))
	for k, text := range stored {
		c := &Claim{}
		if err := json.Unmarshal(text, c); err != nil {
			return nil, fmt.Errorf("index of the plan: %w", err)
		}
		claims[k] = c
	}
	return claims, nil
}

// SetClaim stores the owner of a key.
func (p *Planning) SetClaim(key Hash, c *Claim) error {
	text, err := json.Marshal(c)
	if err != nil {
		return err
	}
	p.index.put(key, text)
	return nil
}

// ClaimKey is the key of a claim of the step in hand.
func (p *Planning) ClaimKey(values ...any) Hash {
	return HashOf(append([]any{"claim", p.spec.ID}, values...)...)
}

// Shared makes the record hold the item that another record's change holds:
// rows that ask the same of one item share one change.
func (p *Planning) Shared(r *Record, e *Entity, c *Claim) *Held {
	h := &Held{Entity: e, ID: c.ID, Ref: c.Ref, Created: c.Ref != "", Now: map[string]any{}}
	if known, ok := p.items[h.key()]; ok {
		h = known
	} else {
		p.items[h.key()] = h
	}
	r.Hold(p.spec.ID, h)
	return h
}

// Recall brings the items of earlier records' claims into this chunk, with the
// given fields, as the plan leaves them by now.
func (p *Planning) Recall(ctx context.Context, e *Entity, claims []*Claim, fields []string) error {
	var fresh []*Held
	var ids []int64
	for _, c := range claims {
		h := &Held{Entity: e, ID: c.ID, Ref: c.Ref, Created: c.Ref != "", Now: map[string]any{}}
		if _, known := p.items[h.key()]; known || (c.ID == 0 && c.Ref == "") {
			continue
		}
		p.items[h.key()] = h
		fresh = append(fresh, h)
		if c.ID != 0 {
			ids = append(ids, c.ID)
		}
	}
	if len(ids) > 0 {
		items, err := p.Reader.Get(ctx, e, ids, fields)
		if err != nil {
			return err
		}
		for _, h := range fresh {
			if item, ok := items[h.ID]; ok {
				*h = *NewHeld(e, item)
			}
		}
	}
	return p.overlay(ctx, fresh)
}

// ExternalKey is what marks a created item as a record's own, on the portal.
type ExternalKey struct {
	Field string // REST name of the field that carries it
	Key   string
}

// ExternalKeyOf derives the external key of a record's item in a step. It is
// the same for every run of the job.
func ExternalKeyOf(job, step, recordKey string) string {
	sum := sha256.Sum256([]byte(job + "\x00" + step + "\x00" + recordKey))
	return "bx" + hex.EncodeToString(sum[:11])
}

// recordKeys gives the records of a stream the keys that make a row the same
// row next time.
type recordKeys struct {
	p      *Planning
	shape  *streamShape
	keyers []keyedStep
	given  bool // the source has key:
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
	if k.given || !creates || len(k.keyers) == 0 {
		return k, nil
	}
	return k, k.findShared(ctx)
}

// findShared reads the stream once more, ahead of planning, to learn which keys
// several rows share: those rows are told apart by their content as well, and
// whether a key is shared must not depend on the order of the rows.
func (k *recordKeys) findShared(ctx context.Context) error {
	for chunk, err := range k.shape.stream.Source.Source.Records(ctx, k.p) {
		if err != nil {
			return err
		}
		hashes := make([]Hash, 0, len(chunk))
		contents := make([]Hash, 0, len(chunk))
		for _, r := range chunk {
			r.env = k.p.baseEnv(r)
			key, ok := k.matchKey(r)
			if r.Fault != "" || !ok {
				continue
			}
			hashes = append(hashes, HashOf("seen", k.shape.stream.Source.ID, key))
			contents = append(contents, HashOf(r.Cells))
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
		if err := k.p.index.flush(ctx); err != nil {
			return err
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

// planDigest digests the changes of a plan without its id and times.
type planDigest struct{ h hash.Hash }

func newDigest() *planDigest { return &planDigest{sha256.New()} }

func (d *planDigest) add(c *Change) error {
	text, err := json.Marshal([]any{c.Step, c.Kind, c.TypeID, c.ID, c.Ref, c.Source, c.Key, c.ExternalKey, c.Fields, c.Reason})
	if err != nil {
		return err
	}
	_, err = d.h.Write(append(text, '\n'))
	return err
}

// String is the digest in hex.
func (d *planDigest) String() string { return hex.EncodeToString(d.h.Sum(nil)) }
