package engine

import (
	"context"
	"fmt"

	"github.com/bxflow/bxflow/engine/expression"
)

// mostOpened is how many files of the job are kept in mind, so that one that many
// rows name is not read for each of them.
const mostOpened = 1000

// Files looks at the files in a value of the job: each [expression.File] becomes a
// [File].
func (p *Planning) Files(v any) (any, error) {
	switch v := v.(type) {
	case expression.File:
		return p.file(v.Path)
	case []any:
		list := make([]any, len(v))
		for i, e := range v {
			var err error
			if list[i], err = p.Files(e); err != nil {
				return nil, err
			}
		}
		return list, nil
	}
	return v, nil
}

func (p *Planning) file(name string) (File, error) {
	if f, known := p.opened[name]; known {
		return f, nil
	}
	f, err := p.Job.file(name)
	if err != nil {
		return File{}, err
	}
	if p.opened == nil || len(p.opened) >= mostOpened {
		p.opened = map[string]File{}
	}
	p.opened[name] = f
	return f, nil
}

// Recognise finds out which files of an item's field are bxflow's own, and what is
// in them: the journal knows of those that this state folder's runs put there. Of a
// file whose id it was not told it knows only that it was put there; it then is the
// first one in the field that nothing else is known of.
func (p *Planning) Recognise(ctx context.Context, h *Held, f *Field) error {
	if h.ID == 0 || h.recognised[f.Name] || filesOf(h.Now[f.Name]) == nil || p.options.History == nil {
		return nil
	}
	own, err := p.options.History.Files(ctx, p.header.Portal.ID, h.Entity.TypeID, h.ID, f.Name)
	if err != nil {
		return fmt.Errorf("files of %s %d: %w", h.Entity.Name, h.ID, err)
	}
	if h.recognised == nil {
		h.recognised = map[string]bool{}
	}
	h.recognised[f.Name] = true
	h.Now[f.Name] = recognised(h.Now[f.Name], own)
	if _, read := h.before[f.Name]; read {
		h.before[f.Name] = recognised(h.before[f.Name], own)
	}
	return nil
}

// recognised is a field's value with what is known of its files.
func recognised(v any, own []File) any {
	byID := map[int64]File{}
	var untold []File
	for _, file := range own {
		if file.local() {
			untold = append(untold, file)
		} else {
			byID[file.ID] = file
		}
	}
	return mapFiles(v, func(file File) (File, bool) {
		known, ok := byID[file.ID]
		switch {
		case file.local() || file.SHA256 != "":
			return file, true
		case !ok && len(untold) > 0:
			known, untold = untold[0], untold[1:]
		case !ok:
			return file, true
		}
		file.Name, file.Size, file.SHA256 = known.Name, known.Size, known.SHA256
		return file, true
	})
}

// FilesFit refuses what one request can't carry.
func FilesFit(values ...any) error {
	var size int64
	for _, v := range values {
		for _, file := range filesOf(v) {
			size += file.Size
		}
	}
	if size > MaxUpload {
		return fmt.Errorf("its files come to %s, and a request carries at most %s", fileSize(size), fileSize(MaxUpload))
	}
	return nil
}

// Settle says which files a field is to hold, of those that it holds and those that
// are given. Whether a file that bxflow has not put there is the given one nobody
// can tell: a field of one file that holds such is left as it is (kept), and one of
// several gains what it is not known to hold. With replace it becomes the given
// ones.
func (f *Field) Settle(before, given any, replace bool) (after any, kept bool) {
	held := filesOf(before)
	if f.Multiple || given == nil {
		return mapFiles(given, func(file File) (File, bool) {
			for _, there := range held {
				if file.same(there) {
					return there, true
				}
			}
			return file, true
		}), false
	}
	if len(held) == 1 && !held[0].local() && held[0].SHA256 == "" && !replace {
		return before, true
	}
	return given, false
}
