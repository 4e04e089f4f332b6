package sandbox

import "slices"

// otherMethods is everything but crm.item.*: the methods of the old kind, of
// metadata, of people, and of what belongs to items.
func otherMethods() []method {
	return slices.Concat(
		oldMethods(),
		typeMethods(),
		categoryMethods(),
		statusMethods(),
		userFieldMethods(),
		peopleMethods(),
		systemMethods(),
		bindingMethods(),
		duplicateMethods(),
		addressMethods(),
		requisiteMethods(),
		historyMethods(),
		timelineMethods(),
		taskMethods(),
		mergeMethods(),
		productRowMethods(),
	)
}
