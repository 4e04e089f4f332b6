package sandbox

import (
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Comments, to-dos and notifications: what a job leaves for people to read.

const (
	commentTable      = "comment"
	todoTable         = "todo"
	notificationTable = "notification"
)

// timelineMethods are the methods of comments, to-dos and notifications.
func timelineMethods() []method {
	return []method{
		{"crm.timeline.comment.add", "crm", true, commentAdd},
		{"crm.timeline.comment.get", "crm", false, commentGet},
		{"crm.timeline.comment.list", "crm", false, commentList},
		{"crm.timeline.comment.update", "crm", true, commentUpdate},
		{"crm.timeline.comment.delete", "crm", true, commentDelete},
		{"crm.activity.todo.add", "crm", true, todoAdd},
		{"im.notify.system.add", "im", true, notify},
		{"im.notify.personal.add", "im", true, notify},
	}
}

// ownerNamed finds the item that ENTITY_TYPE (deal, contact, dynamic_128, …)
// and ENTITY_ID name.
func (s *store) ownerNamed(typeName string, id int64) (*entity, *apiError) {
	for _, e := range s.entities {
		if e.name != strings.ToLower(typeName) {
			continue
		}
		if e.item(id) == nil {
			return nil, fault(400, "OWNER_NOT_FOUND", "Owner was not found")
		}
		return e, nil
	}
	return nil, fault(400, "INVALID_ARG_VALUE", "Invalid value for ENTITY_TYPE")
}

// commentAdd is crm.timeline.comment.add, whose parameter name is lower case
// only. Files are taken, but not kept.
func commentAdd(c *call) (any, *apiError) {
	fields, err := c.array("fields")
	if err != nil {
		return nil, err
	}
	owner, text := intOf(memberText(fields, "ENTITY_ID")), memberText(fields, "COMMENT")
	e, err := c.store.ownerNamed(memberText(fields, "ENTITY_TYPE"), owner)
	if err != nil {
		return nil, err
	}
	if text == "" {
		return nil, oldError("Empty comment message")
	}
	return c.store.rows(commentTable).add(&row{
		"ENTITY_ID": owner, "ENTITY_TYPE": e.name, "CREATED": nowUnix(), "COMMENT": text,
		"AUTHOR_ID": orElse(intOf(memberText(fields, "AUTHOR_ID")), c.user),
	}), nil
}

// storedComment returns the comment that the parameter id names.
func storedComment(c *call) (int64, row, *apiError) {
	id, err := c.int("id")
	if err != nil {
		return 0, nil, err
	}
	rec, ok := c.store.existing(commentTable).get(id)
	if !ok {
		return 0, nil, fault(400, "NOT_FOUND", "Not found.")
	}
	return id, *rec, nil
}

func commentUpdate(c *call) (any, *apiError) {
	id, old, err := storedComment(c)
	if err != nil {
		return nil, err
	}
	fields, err := c.array("fields")
	if err != nil {
		return nil, err
	}
	rec := maps.Clone(old)
	if text := memberText(fields, "COMMENT"); text != "" {
		rec["COMMENT"] = text
	}
	c.store.rows(commentTable).put(id, &rec)
	return true, nil
}

func commentDelete(c *call) (any, *apiError) {
	id, _, err := storedComment(c)
	if err != nil {
		return nil, err
	}
	return c.store.rows(commentTable).remove(id), nil
}

func commentGet(c *call) (any, *apiError) {
	id, rec, err := storedComment(c)
	if err != nil {
		return nil, err
	}
	return c.store.commentRow(id, rec), nil
}

func (s *store) commentRow(id int64, rec row) object {
	return object{
		{"ID", strconv.FormatInt(id, 10)},
		{"ENTITY_ID", textOf(rec["ENTITY_ID"])},
		{"ENTITY_TYPE", rec["ENTITY_TYPE"]},
		{"CREATED", s.renderTime(intOf(rec["CREATED"]))},
		{"COMMENT", rec["COMMENT"]},
		{"AUTHOR_ID", textOf(rec["AUTHOR_ID"])},
		{"FILES", object{}},
	}
}

// commentList is crm.timeline.comment.list, which must be told whose comments
// are wanted.
func commentList(c *call) (any, *apiError) {
	q, err := oldQueryOf(c)
	if err != nil {
		return nil, err
	}
	id, typeName := intOf(memberText(q.filter, "ENTITY_ID", "=ENTITY_ID")), memberText(q.filter, "ENTITY_TYPE", "=ENTITY_TYPE")
	if id <= 0 || typeName == "" {
		return nil, fault(400, "100", "Could not find value for parameter {filter}")
	}
	names := []string{"ID", "ENTITY_ID", "ENTITY_TYPE", "CREATED", "COMMENT", "AUTHOR_ID"}
	rows := []object{}
	table := c.store.existing(commentTable)
	for _, commentID := range table.ids {
		rec, _ := table.get(commentID)
		if intOf((*rec)["ENTITY_ID"]) == id && (*rec)["ENTITY_TYPE"] == strings.ToLower(typeName) {
			rows = append(rows, c.store.commentRow(commentID, *rec))
		}
	}
	return q.answer(c, rows, func(name string) bool { return slices.Contains(names, name) }), nil
}

// todoAdd is crm.activity.todo.add.
func todoAdd(c *call) (any, *apiError) {
	typeID, err := c.int("ownerTypeId")
	if err != nil {
		return nil, err
	}
	owner, err := c.int("ownerId")
	if err != nil {
		return nil, err
	}
	deadline, err := c.text("deadline")
	if err != nil {
		return nil, err
	}
	at, ok := c.store.parseTime(deadline)
	if !ok {
		return nil, fault(400, "WRONG_DATETIME_FORMAT", "Wrong datetime format")
	}
	e, err := c.store.entityOf(typeID)
	if err != nil || e.item(owner) == nil {
		return nil, fault(400, "NOT_FOUND", "Not found.")
	}
	responsible, err := c.optInt("responsibleId", c.user)
	if err != nil {
		return nil, err
	}
	id := c.store.rows(todoTable).add(&row{
		"ownerTypeId": typeID, "ownerId": owner, "deadline": at.Unix(), "responsibleId": responsible,
		"title": memberText(c.params, "title"), "description": memberText(c.params, "description"),
	})
	return object{{"id", id}}, nil
}

// notify is im.notify.system.add and im.notify.personal.add.
func notify(c *call) (any, *apiError) {
	raw, _ := c.old("USER_ID", "to")
	to := intOf(raw)
	if _, ok := c.store.users.get(to); !ok {
		return nil, fault(400, "USER_ID_EMPTY", "User ID can't be empty")
	}
	raw, _ = c.old("MESSAGE")
	text := textOf(raw)
	if text == "" {
		return nil, fault(400, "MESSAGE_EMPTY", "Message can't be empty")
	}
	tag, _ := c.old("TAG")
	return c.store.rows(notificationTable).add(&row{
		"USER_ID": to, "MESSAGE": text, "TAG": textOf(tag), "CREATED": nowUnix(), "FROM": c.user,
	}), nil
}
