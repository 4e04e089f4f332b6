package sandbox

import (
	"slices"
	"strings"
	"time"
)

// What a portal says about itself.

// systemMethods are the methods about the portal and about methods.
func systemMethods() []method {
	return []method{
		{"server.time", "", false, serverTime},
		{"scope", "", false, scopeList},
		{"methods", "", false, methodNames},
		{"method.get", "", false, methodGet},
		{"app.info", "", false, appInfo},
	}
}

// serverTime is server.time.
func serverTime(c *call) (any, *apiError) {
	return c.store.renderTime(time.Now().Add(c.portal.options.Ahead).Unix()), nil
}

// scopeList is scope: what the webhook was given, or with full every scope that
// there is.
func scopeList(c *call) (any, *apiError) {
	full, _ := c.old("full")
	return slices.DeleteFunc(scopes(), func(name string) bool {
		return c.portal.scopes != nil && !c.portal.scopes[name] && !truthy(full)
	}), nil
}

// scopes returns every scope that a method of the portal needs.
func scopes() []string {
	var list []string
	for _, m := range allMethods() {
		if m.scope != "" && !slices.Contains(list, m.scope) {
			list = append(list, m.scope)
		}
	}
	slices.Sort(list)
	return list
}

// methodNames is methods: what the webhook may call, or what belongs to the
// scope that is asked for.
func methodNames(c *call) (any, *apiError) {
	scope, asked := c.old("scope")
	names := []string{}
	if !asked {
		names = append(names, "batch")
	}
	for _, m := range allMethods() {
		if !asked || m.scope == textOf(scope) {
			names = append(names, strings.ToLower(m.name))
		}
	}
	return names, nil
}

// methodGet is method.get.
func methodGet(c *call) (any, *apiError) {
	name, err := c.text("name")
	if err != nil {
		return nil, err
	}
	if strings.EqualFold(name, "batch") {
		return object{{"isExisting", true}, {"isAvailable", true}}, nil
	}
	m, known := c.portal.methods[strings.ToLower(name)]
	return object{{"isExisting", known}, {"isAvailable", known && c.portal.allowed(m, false) == nil}}, nil
}

// appInfo is app.info, which only an application may call; a webhook is none.
func appInfo(*call) (any, *apiError) {
	return nil, fault(403, "ACCESS_DENIED", "Access denied! Application context required")
}
