// Package sandbox is a Bitrix24 portal in one process: an [http.Handler] with
// the state, the shapes, the quirks, the limits and the failures of the real
// one. It is written from the public REST documentation and from observed
// answers, and it imports nothing of the engine or its client, so that one
// mistake can't hide on both sides of the wire.
//
// # Adding a method
//
// A method is one entry of a list such as itemMethods: its documented name, its
// scope, whether it writes, and a function. The list is named once in
// allMethods. The function gets a call, whose store is already locked, and
// returns a result or an apiError:
//
//	func departmentGet(c *call) (any, *apiError) {
//		rows := c.store.rows("department").all()
//		...
//		c.paged(total, offset, int64(len(list))) // lifted beside the result
//		return list, nil
//	}
//
// Parameters arrive as an [array], PHP's ordered map, however they were sent;
// inside a batch every value is a text. Controller methods read them by exact
// names (call.int, call.array, …), old ones in any case (call.old, call.oldInt).
// Results are built of object, lists and scalars; an empty object is written as
// [], as PHP does. Items are read with entity.item and entity.value and written
// through a draft (see draft.go); everything else is a table of the store, or
// store.rows(name) for records without a type of their own. Whatever is put
// into a table or an entity is in the data file before the answer leaves.
package sandbox
