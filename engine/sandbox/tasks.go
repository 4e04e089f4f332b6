package sandbox

import (
	"slices"
	"strconv"
	"strings"
)

// Tasks (tasks.task.*): what they are called, whose they are, when they are due
// and which items of the CRM they are bound to. A task is seen by everybody here,
// and nobody completes it.

const taskTable = "task"

// taskMethods are the methods of tasks.
func taskMethods() []method {
	return []method{
		{"tasks.task.add", "task", true, taskAdd},
		{"tasks.task.get", "task", false, taskGet},
		{"tasks.task.list", "task", false, taskList},
		{"tasks.task.delete", "task", true, taskDelete},
	}
}

// taskError is the refusal of a task: its texts end in a line break of HTML.
func taskError(text string) *apiError { return fault(400, "ERROR_CORE", text+"<br>") }

// taskAdd is tasks.task.add. A deadline that is none is left out; a binding to an
// item that is not there is kept as it is.
func taskAdd(c *call) (any, *apiError) {
	fields, err := c.array("fields")
	if err != nil {
		return nil, err
	}
	title := strings.TrimSpace(memberText(fields, "TITLE"))
	responsible := intOf(memberText(fields, "RESPONSIBLE_ID"))
	if title == "" {
		return nil, taskError("Task title not specified")
	}
	if responsible == 0 {
		return nil, taskError("Assignee not specified")
	}
	if _, ok := c.store.users.get(responsible); !ok {
		return nil, taskError("User specified in the \"Assignee\" field not found")
	}
	rec := row{
		"TITLE": title, "DESCRIPTION": memberText(fields, "DESCRIPTION"), "RESPONSIBLE_ID": responsible,
		"CREATED_BY": orElse(intOf(memberText(fields, "CREATED_BY")), c.user), "CREATED_DATE": nowUnix(),
	}
	if at, ok := c.store.parseTime(memberText(fields, "DEADLINE")); ok {
		rec["DEADLINE"] = at.Unix()
	}
	bound := []any{}
	if raw, ok := fields.get("UF_CRM_TASK"); ok {
		for _, v := range valuesOf(raw) {
			bound = append(bound, textOf(v))
		}
	}
	rec["UF_CRM_TASK"] = bound
	id := c.store.rows(taskTable).add(&rec)
	return object{{"task", c.store.taskRow(id, rec)}}, nil
}

// storedTask returns the task that the parameter taskId names.
func storedTask(c *call, refusal *apiError) (int64, row, *apiError) {
	raw, _ := c.old("taskId")
	id := intOf(raw)
	rec, ok := c.store.existing(taskTable).get(id)
	if !ok {
		return 0, nil, refusal
	}
	return id, *rec, nil
}

func taskGet(c *call) (any, *apiError) {
	id, rec, err := storedTask(c, fault(400, "1048582", "No access to task"))
	if err != nil {
		return nil, err
	}
	return object{{"task", c.store.taskRow(id, rec)}}, nil
}

func taskDelete(c *call) (any, *apiError) {
	id, _, err := storedTask(c, fault(400, "1048582", "No access to delete the task"))
	if err != nil {
		return nil, err
	}
	return object{{"task", c.store.rows(taskTable).remove(id)}}, nil
}

// taskRow is a task as it is answered: ids are texts, names are camel case.
func (s *store) taskRow(id int64, rec row) object {
	var deadline any
	if at, ok := rec["DEADLINE"]; ok {
		deadline = s.renderTime(intOf(at))
	}
	return object{
		{"id", strconv.FormatInt(id, 10)},
		{"title", rec["TITLE"]},
		{"description", rec["DESCRIPTION"]},
		{"status", "2"},
		{"createdBy", textOf(rec["CREATED_BY"])},
		{"createdDate", s.renderTime(intOf(rec["CREATED_DATE"]))},
		{"responsibleId", textOf(rec["RESPONSIBLE_ID"])},
		{"deadline", deadline},
		{"ufCrmTask", rec["UF_CRM_TASK"]},
	}
}

// taskFields are the fields by which tasks can be filtered here, and what they are
// called in rows.
func taskFields() map[string]string {
	return map[string]string{
		"ID": "id", "TITLE": "title", "RESPONSIBLE_ID": "responsibleId", "CREATED_BY": "createdBy",
		"DEADLINE": "deadline", "CREATED_DATE": "createdDate", "UF_CRM_TASK": "ufCrmTask",
	}
}

// taskList is tasks.task.list, newest first. It knows equality and bindings; select
// and order are not heeded.
func taskList(c *call) (any, *apiError) {
	q, err := oldQueryOf(c)
	if err != nil {
		return nil, err
	}
	rows := []object{}
	table := c.store.existing(taskTable)
	for _, id := range slices.Backward(table.ids) {
		rec, _ := table.get(id)
		if shown := c.store.taskRow(id, *rec); taskMeets(shown, q.filter) {
			rows = append(rows, shown)
		}
	}
	return object{{"tasks", q.page(c, rows)}}, nil
}

// taskMeets says whether a task has one of the values that each field of the filter
// may have. Other fields are dropped without a word.
func taskMeets(shown object, filter *array) bool {
	for key, val := range filter.all() {
		name, known := taskFields()[strings.TrimPrefix(key, "=")]
		if !known {
			continue
		}
		has, _ := shown.get(name)
		held, several := has.([]any)
		if !several {
			held = []any{has}
		}
		if !slices.ContainsFunc(valuesOf(val), func(want any) bool {
			return slices.ContainsFunc(held, func(v any) bool { return textOf(v) == textOf(want) })
		}) {
			return false
		}
	}
	return true
}
