package portal

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/bxflow/bxflow/engine"
)

// status is a row of crm.status.list: a stage, or a value of a status list.
type status struct {
	ListID    text   `json:"ENTITY_ID"`
	ID        text   `json:"STATUS_ID"`
	Name      text   `json:"NAME"`
	Sort      number `json:"SORT"`
	Semantics text   `json:"SEMANTICS"`
}

// statuses reads all status lists, by their ids. One call gives them all, and
// no page limits it (crm.status.list); asking for single ones would need the
// ids of categories first.
func (l *loading) statuses() (map[string][]status, error) {
	r, asked := l.replies["statuses"]
	if !asked {
		return nil, nil
	}
	if r.Err != nil {
		return nil, r.Err
	}
	var rows []status
	if err := json.Unmarshal(r.Result.Value, &rows); err != nil {
		return nil, errors.New("crm.status.list: the answer is not a list of statuses")
	}
	byList := map[string][]status{}
	for _, row := range rows {
		byList[string(row.ListID)] = append(byList[string(row.ListID)], row)
	}
	for _, list := range byList {
		slices.SortStableFunc(list, func(a, b status) int { return cmp.Compare(a.Sort, b.Sort) })
	}
	return byList, nil
}

// entity puts one entity together. It is nil, without an error, where the
// portal has none of that id.
func (l *loading) entity(name string, typeID int, kind crmType, statuses map[string][]status) (*engine.Entity, error) {
	fields := l.replies[name+" fields"]
	if fields.Err != nil {
		if fields.Err.Verdict == Failed && isRefusal(fields.Err, codeNotFound, "ENTITY_TYPE_NOT_SUPPORTED", "100", "0", "") {
			return nil, nil
		}
		return nil, fields.Err
	}
	e := &engine.Entity{TypeID: typeID, SPATypeID: kind.ID.whole(), Name: entityName(typeID, kind)}
	var answer struct {
		Fields map[string]fieldInfo `json:"fields"`
	}
	if err := json.Unmarshal(fields.Result.Value, &answer); err != nil {
		return nil, fmt.Errorf("crm.item.fields: the answer for %s is not a list of fields", e.Name)
	}
	e.Fields = fieldsOf(answer.Fields, statuses)
	categories := l.replies[name+" categories"]
	if categories.Err != nil && !isRefusal(categories.Err, codeNotFound, "ENTITY_TYPE_NOT_SUPPORTED") {
		return nil, categories.Err
	}
	e.Categories, e.Categorized = l.categories(name, typeID, statuses)
	if f := e.FieldByName("stageId"); f != nil {
		for _, c := range e.Categories {
			for _, s := range c.Stages {
				f.Options = append(f.Options, engine.Option{ID: s.ID, Name: s.Name})
			}
		}
	}
	items := l.replies[name+" items"]
	if items.Err == nil {
		page, err := pageOf(e, items)
		e.Items, e.Few = len(page), err == nil && len(page) < pageSize
		if !e.Few {
			e.Items = max(items.Result.Total, 0)
		}
	}
	if e.Items < pageSize && !e.Few {
		e.Items = -1
	}
	return e, nil
}

// entityName is the word for a standard entity, or a smart process's title.
func entityName(typeID int, kind crmType) string {
	switch typeID {
	case engine.TypeLead:
		return "lead"
	case engine.TypeDeal:
		return "deal"
	case engine.TypeContact:
		return "contact"
	case engine.TypeCompany:
		return "company"
	case engine.TypeQuote:
		return "quote"
	case engine.TypeInvoice:
		return "invoice"
	}
	if title := strings.TrimSpace(string(kind.Title)); title != "" {
		return title
	}
	return strconv.Itoa(typeID)
}

// fieldInfo is an entry of crm.item.fields.
type fieldInfo struct {
	Type       text `json:"type"`
	Title      text `json:"title"`
	Upper      text `json:"upperName"`
	FormLabel  text `json:"formLabel"`
	ListLabel  text `json:"listLabel"`
	StatusType text `json:"statusType"`
	Multiple   text `json:"isMultiple"`
	ReadOnly   text `json:"isReadOnly"`
	Immutable  text `json:"isImmutable"`
	Required   text `json:"isRequired"`
	Custom     text `json:"isDynamic"`
	Items      []struct {
		ID    text `json:"ID"`
		Value text `json:"VALUE"`
	} `json:"items"`
}

// fieldsOf reads the fields of an entity, in the order of their names. fm
// becomes phone, email, web and im.
func fieldsOf(infos map[string]fieldInfo, statuses map[string][]status) []*engine.Field {
	var fields []*engine.Field
	for name, info := range infos {
		if name == "fm" || info.Type == text(engine.FieldMulti) {
			fields = append(fields, multiFields()...)
			continue
		}
		f := &engine.Field{
			Name: name, Upper: string(info.Upper), Type: engine.FieldType(info.Type),
			Title:    cmp.Or(info.usefulTitle(), string(info.FormLabel), string(info.ListLabel), string(info.Title)),
			Multiple: isYes(info.Multiple), ReadOnly: isYes(info.ReadOnly), Immutable: isYes(info.Immutable),
			Required: isYes(info.Required), Custom: isYes(info.Custom), StatusType: string(info.StatusType),
		}
		for _, item := range info.Items {
			f.Options = append(f.Options, engine.Option{ID: string(item.ID), Name: string(item.Value)})
		}
		if f.Type == engine.FieldStatus && name != "stageId" {
			for _, s := range statuses[f.StatusType] {
				f.Options = append(f.Options, engine.Option{ID: string(s.ID), Name: string(s.Name)})
			}
		}
		fields = append(fields, f)
	}
	slices.SortFunc(fields, func(a, b *engine.Field) int { return strings.Compare(a.Name, b.Name) })
	return fields
}

// usefulTitle is the title, unless it only repeats the field's code.
func (i fieldInfo) usefulTitle() string {
	if i.Title == i.Upper {
		return ""
	}
	return string(i.Title)
}

func isYes(t text) bool { return boolean(string(t)) == true }

// multiFields are the parts of fm. The portal has no titles for them.
func multiFields() []*engine.Field {
	titles := []struct{ name, title string }{{"phone", "Phone"}, {"email", "E-mail"}, {"web", "Website"}, {"im", "Messenger"}}
	fields := make([]*engine.Field, 0, len(titles))
	for _, t := range titles {
		fields = append(fields, &engine.Field{
			Name: t.name, Upper: strings.ToUpper(t.name), Title: t.title, Type: engine.FieldMulti, Multiple: true,
		})
	}
	return fields
}

// category is a row of crm.category.list.
type category struct {
	ID      number `json:"id"`
	Name    text   `json:"name"`
	Sort    number `json:"sort"`
	Default text   `json:"isDefault"`
}

// categories reads the pipelines of an entity with their stages.
func (l *loading) categories(name string, typeID int, statuses map[string][]status) (list []engine.Category, categorized bool) {
	r, asked := l.replies[name+" categories"]
	if !asked || r.Err != nil {
		switch typeID {
		case engine.TypeLead:
			list = append(list, engine.Category{Default: true, Stages: stagesOf(statuses["STATUS"])})
		case engine.TypeQuote:
			list = append(list, engine.Category{Default: true, Stages: stagesOf(statuses["QUOTE_STATUS"])})
		}
		return list, false
	}
	var answer struct {
		Categories []category `json:"categories"`
	}
	if json.Unmarshal(r.Result.Value, &answer) != nil {
		return nil, false
	}
	slices.SortStableFunc(answer.Categories, func(a, b category) int {
		return cmp.Or(cmp.Compare(a.Sort, b.Sort), cmp.Compare(a.ID, b.ID))
	})
	for _, c := range answer.Categories {
		list = append(list, engine.Category{
			ID: c.ID.whole(), Name: string(c.Name), Default: isYes(c.Default),
			Stages: stagesOf(statuses[stageList(typeID, c.ID.whole())]),
		})
	}
	return list, true
}

// stageList is the status list that holds a category's stages ("Stages" of the
// CRM reference, crm.status.entity.types).
func stageList(typeID, category int) string {
	switch typeID {
	case engine.TypeDeal:
		if category == 0 {
			return "DEAL_STAGE"
		}
		return fmt.Sprintf("DEAL_STAGE_%d", category)
	case engine.TypeInvoice:
		return fmt.Sprintf("SMART_INVOICE_STAGE_%d", category)
	case 36, 39:
		return fmt.Sprintf("SMART_DOCUMENT_STAGE_%d", category)
	}
	return fmt.Sprintf("DYNAMIC_%d_STAGE_%d", typeID, category)
}

func stagesOf(rows []status) []engine.Stage {
	stages := make([]engine.Stage, 0, len(rows))
	for _, row := range rows {
		stages = append(stages, engine.Stage{ID: string(row.ID), Name: string(row.Name), Semantics: string(row.Semantics)})
	}
	return stages
}
