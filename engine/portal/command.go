package portal

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/bxflow/bxflow/engine"
)

// The methods that commands become.
const (
	methodAdd    = "crm.item.add"
	methodImport = "crm.item.import"
	methodUpdate = "crm.item.update"
	methodDelete = "crm.item.delete"
	methodMerge  = "crm.entity.mergeBatch"
	methodList   = "crm.item.list"
)

// Method is the REST method that a command of this kind calls, as forecasts
// count it.
func Method(kind engine.CommandKind) string {
	switch kind {
	case engine.CommandAdd:
		return methodAdd
	case engine.CommandImport:
		return methodImport
	case engine.CommandUpdate:
		return methodUpdate
	case engine.CommandDelete:
		return methodDelete
	case engine.CommandMerge:
		return methodMerge
	}
	return ""
}

// callOf writes a command as a call.
func callOf(command engine.Command) (call, error) {
	if command.Entity != nil && command.Entity.Beside() {
		return besideCall(command)
	}
	method := Method(command.Kind)
	if method == "" || command.Entity == nil {
		return call{}, fmt.Errorf("there is no command %q", command.Kind)
	}
	if command.Kind == engine.CommandMerge {
		return mergeCall(command)
	}
	params := map[string]any{"entityTypeId": command.Entity.TypeID}
	if command.Kind == engine.CommandUpdate || command.Kind == engine.CommandDelete {
		if command.ID <= 0 {
			return call{}, fmt.Errorf("%s %s: %d is no item's id", command.Kind, command.Entity.Name, command.ID)
		}
		params["id"] = command.ID
	}
	if command.Kind == engine.CommandDelete {
		return call{Method: method, Params: params}, nil
	}
	fields := make(map[string]any, len(command.Fields)+1)
	for name, value := range command.Fields {
		f := command.Entity.FieldByName(name)
		if f == nil || f.Type == engine.FieldMulti {
			// The portal would ignore it without a word.
			return call{}, fmt.Errorf("%s %s: there is no field %q to be set", command.Kind, command.Entity.Name, name)
		}
		wire, err := Encode(f, value)
		if err != nil {
			return call{}, err
		}
		fields[name] = wire
	}
	if err := addMulti(command, fields); err != nil {
		return call{}, err
	}
	params["fields"] = fields
	params["useOriginalUfNames"] = "N"
	return call{Method: method, Params: params, Alone: command.Uploads() > engine.BatchUpload}, nil
}

// addMulti writes the rows of phone, email, web and im. crm.item.add takes a
// list fm, crm.item.update an object whose keys are row ids or n0, n1 for new
// rows, and crm.item.import the old upper-case fields ("Fields of CRM objects").
func addMulti(command engine.Command, fields map[string]any) error {
	var added []any
	rows := map[string]any{}
	for _, name := range []string{"phone", "email", "web", "im"} {
		kind := strings.ToUpper(name)
		var imported []any
		for _, v := range command.Multi[name] {
			valueType := v.Type
			if valueType == "" {
				valueType = defaultValueType(name)
			}
			row := map[string]any{"typeId": kind, "valueType": valueType, "value": v.Value}
			switch {
			case command.Kind == engine.CommandUpdate && v.ID > 0 && v.Value == "":
				rows[strconv.FormatInt(v.ID, 10)] = map[string]any{"typeId": kind, "value": ""}
			case command.Kind == engine.CommandUpdate && v.ID > 0:
				rows[strconv.FormatInt(v.ID, 10)] = row
			case v.Value == "" || v.ID > 0:
				return fmt.Errorf("%s %s: a row of %s has no value, or an id that only an update may name", command.Kind, command.Entity.Name, name)
			case command.Kind == engine.CommandUpdate:
				rows["n"+strconv.Itoa(len(rows))] = row
			case command.Kind == engine.CommandImport:
				imported = append(imported, map[string]any{"VALUE": v.Value, "VALUE_TYPE": valueType})
			default:
				added = append(added, row)
			}
		}
		if imported != nil {
			fields[kind] = imported
		}
	}
	if added != nil {
		fields["fm"] = added
	}
	if len(rows) > 0 {
		fields["fm"] = rows
	}
	for name := range command.Multi {
		if name != "phone" && name != "email" && name != "web" && name != "im" {
			return fmt.Errorf("%s %s: there is no multifield %q", command.Kind, command.Entity.Name, name)
		}
	}
	return nil
}

// defaultValueType is the type of a row that has none. It is always sent: the
// portal adds a second row for a value that it has, if the types differ.
func defaultValueType(name string) string {
	if name == "im" {
		return "OTHER"
	}
	return "WORK"
}
