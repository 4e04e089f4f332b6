package engine

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash"
	"maps"

	"github.com/bxflow/bxflow/engine/expression"
)

// planIndex is the draft's index. Entries of the chunk in hand are seen at once;
// those of a small plan stay in memory altogether, and a larger plan's go to
// disk.
type planIndex struct {
	draft   Draft
	fresh   map[Hash][]byte // of the chunk in hand
	kept    map[Hash][]byte // of earlier chunks, while they are few
	spilled bool            // kept went to disk, and so does all that follows
}

const (
	// keptMost bounds the entries in memory: some 6 MB.
	keptMost = 30_000
	// spillAtOnce is how many entries go to disk together.
	spillAtOnce = 5_000
)

func newPlanIndex(d Draft) *planIndex {
	return &planIndex{draft: d, fresh: map[Hash][]byte{}, kept: map[Hash][]byte{}}
}

func (x *planIndex) put(key Hash, value []byte) { x.fresh[key] = value }

func (x *planIndex) get(ctx context.Context, keys []Hash) (map[Hash][]byte, error) {
	found := make(map[Hash][]byte, len(keys))
	var ask []Hash
	for _, k := range keys {
		if v, ok := x.fresh[k]; ok {
			found[k] = v
		} else if v, ok := x.kept[k]; ok {
			found[k] = v
		} else if x.spilled {
			ask = append(ask, k)
		}
	}
	if len(ask) == 0 {
		return found, nil
	}
	stored, err := x.draft.Get(ctx, ask)
	maps.Copy(found, stored)
	return found, err
}

// flush ends a chunk.
func (x *planIndex) flush(ctx context.Context) error {
	if !x.spilled && len(x.kept)+len(x.fresh) <= keptMost {
		maps.Copy(x.kept, x.fresh)
		clear(x.fresh)
		return nil
	}
	if !x.spilled {
		x.spilled = true
		maps.Copy(x.kept, x.fresh)
		x.fresh, x.kept = x.kept, nil
	}
	entries := x.fresh
	x.fresh = map[Hash][]byte{}
	part := make(map[Hash][]byte, spillAtOnce)
	for k, v := range entries {
		part[k] = v
		if len(part) == spillAtOnce {
			if err := x.draft.Put(ctx, part); err != nil {
				return err
			}
			clear(part)
		}
	}
	if len(part) == 0 {
		return nil
	}
	return x.draft.Put(ctx, part)
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

// Noted returns what steps noted under keys, as far as there is.
func (p *Planning) Noted(ctx context.Context, keys []Hash) (map[Hash][]byte, error) {
	return p.index.get(ctx, keys)
}

// Note keeps something for later in the plan, on disk.
func (p *Planning) Note(key Hash, value []byte) { p.index.put(key, value) }

// RowEnv is what expressions see of a row alone.
func (p *Planning) RowEnv(row map[string]any) expression.Env { return p.baseEnv(&Record{Row: row}) }

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
	return p.Overlay(ctx, fresh)
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
