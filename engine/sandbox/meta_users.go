package sandbox

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

// People and departments (user.*, profile, department.get).

// peopleMethods are the methods of people and departments.
func peopleMethods() []method {
	return []method{
		{"user.get", "user", false, userGet},
		{"user.search", "user", false, userSearch},
		{"user.current", "user", false, userCurrent},
		{"user.admin", "", false, userAdmin},
		{"profile", "", false, profile},
		{"department.get", "department", false, departmentGet},
	}
}

// userRow is a person as user.get shows it: ids are texts, ACTIVE is a boolean,
// departments are numbers.
func (s *store) userRow(u *user) object {
	registered := time.Date(2025, time.January, 6, 9, 0, 0, 0, s.zone).Unix()
	departments := []any{}
	for _, id := range u.Departments {
		departments = append(departments, id)
	}
	return object{
		{"ID", strconv.FormatInt(u.ID, 10)},
		{"ACTIVE", u.Active},
		{"NAME", u.Name},
		{"LAST_NAME", u.LastName},
		{"SECOND_NAME", ""},
		{"EMAIL", u.Email},
		{"LAST_LOGIN", s.renderTime(registered)},
		{"DATE_REGISTER", s.renderTime(registered)},
		{"TIME_ZONE", ""},
		{"IS_ONLINE", "N"},
		{"TIMESTAMP_X", ""},
		{"LAST_ACTIVITY_DATE", ""},
		{"PERSONAL_GENDER", u.Gender},
		{"PERSONAL_WWW", ""},
		{"PERSONAL_BIRTHDAY", ""},
		{"PERSONAL_MOBILE", u.Phone},
		{"PERSONAL_CITY", u.City},
		{"WORK_PHONE", ""},
		{"WORK_POSITION", u.Position},
		{"UF_EMPLOYMENT_DATE", ""},
		{"UF_DEPARTMENT", departments},
		{"USER_TYPE", u.Kind},
	}
}

// userFilterNames are the fields that user.get can filter by.
func userFilterNames() []string {
	return []string{
		"ID", "ACTIVE", "NAME", "LAST_NAME", "SECOND_NAME", "EMAIL", "PERSONAL_GENDER", "PERSONAL_MOBILE",
		"PERSONAL_CITY", "WORK_PHONE", "WORK_POSITION", "UF_DEPARTMENT", "USER_TYPE", "IS_ONLINE",
	}
}

// userGet is user.get. Its filter keys may also stand beside the other
// parameters; "sort" names a field and "order" the direction.
func userGet(c *call) (any, *apiError) {
	return c.answerUsers(c.userConditions(), nil)
}

// userConditions reads the filter of user.get, whose keys come in any case. In
// a bare key a percent sign stands for any text.
func (c *call) userConditions() []rowCondition {
	filter := &array{}
	known := func(name string) bool { return slices.Contains(userFilterNames(), name) }
	for _, source := range []*array{c.params, c.oldArray("filter")} {
		for key, val := range source.all() {
			operator, field := splitOperator(strings.ToUpper(key))
			if operator == "" && strings.Contains(textOf(val), "%") {
				operator = "=%"
			}
			if field == "ACTIVE" {
				val = yesNo(truthy(val) && textOf(val) != "N")
			}
			if known(field) {
				filter.set(operator+field, val)
			}
		}
	}
	return rowConditions(filter, known)
}

// answerUsers sorts, cuts and projects the people that meet the conditions and
// the predicate, which may be nil.
func (c *call) answerUsers(conditions []rowCondition, match func(*user) bool) (any, *apiError) {
	rows := []object{}
	for _, u := range c.store.users.all() {
		if match == nil || match(u) {
			rows = append(rows, c.store.userRow(u))
		}
	}
	rows = filterRows(rows, conditions)
	if sort, ok := c.old("sort"); ok {
		direction, _ := c.old("order")
		order := &array{}
		order.set(strings.ToUpper(textOf(sort)), direction)
		orderRows(rows, order)
	}
	var q oldQuery
	start := c.oldInt("start")
	q.count, q.offset = start >= 0, max(start, 0)/pageSize*pageSize
	rows = q.page(c, rows)
	for _, name := range c.oldArray("select").all() {
		q.names = append(q.names, strings.ToUpper(textOf(name)))
	}
	if len(q.names) > 0 {
		q.names = append(q.names, "ID")
	}
	for i, row := range rows {
		rows[i] = selectFields(row, q.names)
	}
	return rows, nil
}

// userSearch is user.search: FIND looks into names, position and departments
// and excludes the other keys.
func userSearch(c *call) (any, *apiError) {
	filter := c.oldArray("filter")
	if filter == nil {
		filter = c.params
	}
	wanted := map[string]string{}
	for key, val := range filter.all() {
		wanted[strings.ToUpper(key)] = strings.ToLower(strings.Trim(textOf(val), "% "))
	}
	find, ok := wanted["FIND"]
	return c.answerUsers(nil, func(u *user) bool {
		if ok {
			text := strings.ToLower(strings.Join([]string{u.Name, u.LastName, u.Position, departmentNames(u)}, " "))
			return !slices.ContainsFunc(strings.Fields(find), func(word string) bool { return !strings.Contains(text, word) })
		}
		for key, have := range map[string]string{
			"NAME": u.Name, "LAST_NAME": u.LastName, "WORK_POSITION": u.Position, "UF_DEPARTMENT_NAME": departmentNames(u),
		} {
			if want, asked := wanted[key]; asked && !strings.Contains(strings.ToLower(have), want) {
				return false
			}
		}
		return true
	})
}

func departmentNames(u *user) string {
	var names []string
	for _, d := range seedDepartments() {
		if slices.Contains(u.Departments, int64(d.id)) {
			names = append(names, d.name)
		}
	}
	return strings.Join(names, " ")
}

// me returns the person whose rights a call has.
func (c *call) me() (*user, *apiError) {
	u, ok := c.store.users.get(c.user)
	if !ok {
		return nil, fault(401, "authorization_error", "Unable to authorize user")
	}
	return u, nil
}

// userCurrent is user.current.
func userCurrent(c *call) (any, *apiError) {
	u, err := c.me()
	if err != nil {
		return nil, err
	}
	return c.store.userRow(u), nil
}

// userAdmin is user.admin.
func userAdmin(c *call) (any, *apiError) {
	u, err := c.me()
	if err != nil {
		return nil, err
	}
	return u.Admin, nil
}

// profile is profile, the one method about people that needs no scope.
func profile(c *call) (any, *apiError) {
	u, err := c.me()
	if err != nil {
		return nil, err
	}
	return object{
		{"ID", strconv.FormatInt(u.ID, 10)},
		{"ADMIN", u.Admin},
		{"NAME", u.Name},
		{"LAST_NAME", u.LastName},
		{"PERSONAL_GENDER", u.Gender},
		{"TIME_ZONE", ""},
	}, nil
}

// departmentGet is department.get, whose filter keys are parameters of their
// own. The root has no PARENT, and a department without a head no UF_HEAD.
func departmentGet(c *call) (any, *apiError) {
	names := []string{"ID", "NAME", "SORT", "PARENT", "UF_HEAD"}
	filter := &array{}
	for key, val := range c.params.all() {
		// SORT is the field to sort by and only there a number to look for.
		if name := strings.ToUpper(key); slices.Contains(names, name) && (name != "SORT" || isNumeric(val)) {
			filter.set(name, val)
		}
	}
	rows := []object{}
	for _, d := range seedDepartments() {
		row := object{{"ID", strconv.Itoa(d.id)}, {"NAME", d.name}, {"SORT", int64(500)}}
		if d.parent > 0 {
			row = append(row, pair{"PARENT", strconv.Itoa(d.parent)})
		}
		if d.head > 0 {
			row = append(row, pair{"UF_HEAD", strconv.Itoa(d.head)})
		}
		rows = append(rows, row)
	}
	rows = filterRows(rows, rowConditions(filter, func(string) bool { return true }))
	if sort, ok := c.old("sort"); ok && !isNumeric(sort) {
		direction, _ := c.old("order")
		order := &array{}
		order.set(strings.ToUpper(textOf(sort)), direction)
		orderRows(rows, order)
	}
	q := oldQuery{count: true, offset: max(c.oldInt("start"), 0) / pageSize * pageSize}
	return q.page(c, rows), nil
}
