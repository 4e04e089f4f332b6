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
// Parameters arrive as an array, PHP's ordered map, however they were sent;
// inside a batch every value is a text. Controller methods read them by exact
// names (call.int, call.array, …), old ones in any case (call.old, call.oldInt).
// Results are built of object, lists and scalars; an empty object is written as
// [], as PHP does. Items are read with entity.item and entity.value and written
// through a draft; everything else is a table of the store, or store.rows(name)
// for records without a type of their own. Whatever is put into a table or an
// entity is in the data file before the answer leaves.
//
// # Where it differs from a real portal
//
//   - Plain http is served; the portal answers INVALID_REQUEST.
//   - There is one webhook, of user 1, an administrator; its secret is taken for
//     an access token, too. There is one application, authorised by that user;
//     its token server is at /oauth/token/, knows refresh tokens only, and
//     forgets them at the end of the process. Permissions beyond the webhook's
//     scopes don't exist: nobody is refused for lack of a right.
//   - Where sources name different HTTP statuses for an error, one of them is
//     answered (401 INVALID_CREDENTIALS, 403 insufficient_scope): clients go by
//     the code. Texts are the documented English ones, never those of another
//     language.
//   - An empty bucket takes exactly its burst, and a rejected request doesn't
//     count. The documentation can also be read as one more, and as counting.
//   - At its limit in time a request's connection is closed, without a gateway's
//     page.
//   - The execution time of a command is what it took here, with the cost that
//     was set for its method. A batch of webhook commands is charged to the same
//     account as direct calls.
//   - REST 3.0, recurring items, payments, recycle bin, events and workflows don't
//     exist. Robots don't act; they are only counted.
//   - Which values that differ want a person when duplicates are merged is not
//     documented: those of single custom fields do here. What a merge leaves behind
//     of activities and bindings in custom fields is not moved.
//   - Tasks have a title, a person, a deadline, a description and bindings, and
//     everybody sees them; their list can't be ordered, nor its fields chosen.
//   - Deleting an item leaves the links to it as they are; the portal clears them
//     some time later.
//   - Of files the name, size and SHA-256 are kept, which the dump shows, not the
//     contents: their addresses lead nowhere. A file that no field holds any more
//     stays known.
//   - A list without an order is in the order of ids. Texts are compared without
//     regard to case, but with regard to accents.
//   - strtotime's rarer spellings of a date are taken for unreadable.
//   - Bytes that are no UTF-8 become question marks; the portal answers
//     WRONG_ENCODING when it has to show them.
//   - Custom fields marked mandatory are not enforced, as by default on a portal.
//   - A list is refused where a field takes a single value; what the portal makes
//     of it depends on the field.
//   - Phones are compared by their digits alone, without knowledge of countries.
//   - Departments and requisite presets are those of the seed; people, statuses,
//     pipelines, types and custom fields can't be deleted.
//   - The ADDRESS columns that old items keep for compatibility are always null:
//     crm.address.* has the addresses.
//   - Custom fields have a label in one language.
package sandbox
