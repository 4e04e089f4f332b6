package main

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"

	"github.com/bxflow/bxflow/engine"
	"github.com/bxflow/bxflow/engine/portal"
	"github.com/bxflow/bxflow/steps"
)

// The scopes that jobs need ("Scopes" of the REST guide). People are found with
// any of those for users, by e-mail with the first alone.
const (
	scopeCRM      = "crm"
	scopeUser     = "user"
	scopeMessages = "im"   // of notify: with a person
	scopeTasks    = "task" // of the step task
)

// jobNeeds is what a job needs of a portal, and what of that is not there.
type jobNeeds struct {
	job        string
	scopes     []string // that it needs
	missing    []string // of them
	methods    []string // that the portal doesn't have
	unreadable []string // entities
	writes     bool
	imports    bool // without automation, which takes a right of its own
	merges     bool // which takes an administrator (crm.entity.mergeBatch)
}

// needs asks the portal what it tells about the rights that a job takes. It
// tells what may be read, and with crm.item.* nothing about writing.
func (s *session) needs(ctx context.Context, job *engine.Job, scopes []string) (*jobNeeds, error) {
	n := &jobNeeds{job: job.Name, scopes: []string{scopeCRM, scopeUser}}
	notifies := slices.ContainsFunc(job.Notify, func(n *engine.Notice) bool { return n.Person != "" })
	if notifies {
		n.scopes = append(n.scopes, scopeMessages)
	}
	methods := n.uses(job)
	if slices.Contains(methods, "tasks.task.add") {
		n.scopes = append(n.scopes, scopeTasks)
	}
	for _, scope := range n.scopes {
		has := slices.ContainsFunc(scopes, func(have string) bool {
			return have == scope || scope == scopeUser && (have == "user_basic" || have == "user_brief")
		})
		if !has {
			n.missing = append(n.missing, scope)
		}
	}
	if notifies {
		methods = append(methods, methodNotify)
	}
	if slices.Contains(n.missing, scopeCRM) {
		return n, nil // all that follows would fail
	}
	if err := s.lackingMethods(ctx, n, methods); err != nil {
		return nil, err
	}
	return n, s.lackingEntities(ctx, n, job.Needs().Entities)
}

// uses are the methods that a job calls.
func (n *jobNeeds) uses(job *engine.Job) []string {
	methods := []string{"crm.item.fields", "crm.item.list"}
	for _, stream := range job.Streams {
		for _, spec := range stream.Steps {
			switch step := spec.Step.(type) {
			case *steps.Import:
				n.writes, n.imports = true, n.imports || step.Automation == "off"
				methods = append(methods, "crm.item.add", "crm.item.update")
			case *steps.Create:
				n.writes, n.imports = true, n.imports || step.Automation == "off"
				methods = append(methods, "crm.item.add")
			case *steps.Find:
			case *steps.Delete:
				n.writes = true
				methods = append(methods, "crm.item.delete")
			case *steps.Merge:
				n.writes, n.merges = true, true
				methods = append(methods, "crm.entity.mergeBatch")
			case *steps.Comment:
				n.writes = true
				methods = append(methods, "crm.timeline.comment.add", "crm.timeline.comment.list")
			case *steps.Todo:
				n.writes = true
				methods = append(methods, "crm.activity.todo.add")
			case *steps.Task:
				n.writes = true
				methods = append(methods, "tasks.task.add", "tasks.task.delete")
			case *steps.Products:
				n.writes = true
				methods = append(methods, "crm.item.productrow.set", "crm.item.productrow.list")
			case *steps.Address:
				n.writes = true
				methods = append(methods, "crm.address.add", "crm.address.list", "crm.requisite.add", "crm.requisite.list")
			default:
				n.writes = true
				methods = append(methods, "crm.item.update")
			}
		}
	}
	if n.imports {
		methods = append(methods, "crm.item.import")
	}
	slices.Sort(methods)
	return slices.Compact(methods)
}

// lackingMethods notes the methods that the portal doesn't have: one of one's
// own may be older than they are. A portal that can't say has them, as far as
// is known.
func (s *session) lackingMethods(ctx context.Context, n *jobNeeds, methods []string) error {
	commands := make([]portal.Command, 0, len(methods))
	for _, name := range methods {
		commands = append(commands, portal.Command{Method: "method.get", Params: map[string]any{"name": strings.ToLower(name)}})
	}
	replies, err := s.Batch(ctx, commands)
	if err != nil {
		return err
	}
	for i, r := range replies {
		var answer struct{ IsExisting *bool }
		if r.Err == nil && json.Unmarshal(r.Result.Value, &answer) == nil && answer.IsExisting != nil && !*answer.IsExisting {
			n.methods = append(n.methods, methods[i])
		}
	}
	return nil
}

// lackingEntities notes the entities that the user may not read. A name that no
// entity has is an error.
func (s *session) lackingEntities(ctx context.Context, n *jobNeeds, names []string) error {
	for _, name := range names {
		_, e, err := s.entity(ctx, name, false)
		if fault, ok := errors.AsType[*portal.Error](err); ok && fault.Code == codeDenied {
			n.unreadable = append(n.unreadable, name)
			continue
		}
		if err != nil {
			return err
		}
		_, err = s.Call(ctx, "crm.item.list", map[string]any{"entityTypeId": e.TypeID, "select": []any{"id"}, "start": -1})
		if fault, ok := errors.AsType[*portal.Error](err); ok && fault.Code == codeDenied {
			n.unreadable = append(n.unreadable, name)
		} else if err != nil {
			return err
		}
	}
	return nil
}

// codeDenied is the portal's refusal of what the user's role lacks.
const codeDenied = "ACCESS_DENIED"

// untold is what only the first change will show.
func (n *jobNeeds) untold(admin bool) string {
	switch {
	case admin || !n.writes: // an administrator may do everything
		return ""
	case n.imports:
		return "whether the user may add, change and import; a canary shows it: bxflow run --canary 1"
	}
	return "whether the user may add and change; a canary shows it: bxflow run --canary 1"
}
