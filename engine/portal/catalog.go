package portal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/bxflow/bxflow/engine"
)

// catalogKept is how long a catalog serves again: a run that follows its plan
// at once does not ask twice.
const catalogKept = 10 * time.Second

// cachedCatalog is a catalog with the time when it was loaded.
type cachedCatalog struct {
	catalog *engine.Catalog
	loaded  time.Time
}

// Catalog implements [engine.Catalogue]. One batch asks for all that is named;
// a smart process named by its title is looked up in the same batch, and only
// where that does not lead to it (titles that several share, a webhook without
// administrator's rights) is there a second.
func (c *Client) Catalog(ctx context.Context, needs engine.Needs) (*engine.Catalog, error) {
	key := fmt.Sprintf("%q %t %t %q", needs.Entities, needs.Users, needs.Linkers, needs.Beside)
	c.mu.Lock()
	cached, ok := c.catalogs[key]
	c.mu.Unlock()
	if ok && time.Since(cached.loaded) < catalogKept {
		return cached.catalog, nil
	}
	catalog, err := c.loadCatalog(ctx, needs)
	if err != nil {
		return nil, fmt.Errorf("loading the catalog of %s: %w", c.Address(), err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	c.catalogs[key] = cachedCatalog{catalog: catalog, loaded: now}
	return catalog, nil
}

func (c *Client) loadCatalog(ctx context.Context, needs engine.Needs) (*engine.Catalog, error) {
	l := newLoading(c, needs)
	l.first(needs)
	asked := time.Now()
	if err := l.ask(ctx); err != nil {
		return nil, err
	}
	l.second()
	if err := l.ask(ctx); err != nil {
		return nil, err
	}
	catalog, err := l.catalog()
	if err != nil {
		return nil, err
	}
	for _, name := range needs.Beside {
		switch name {
		case engine.BesideComments:
			catalog.Beside = append(catalog.Beside, engine.Comments())
		case engine.BesideProducts:
			for _, e := range catalog.Entities {
				if e.HasProducts() {
					catalog.Beside = append(catalog.Beside, engine.ProductsOf(e))
				}
			}
		case engine.BesideCalls:
			catalog.Beside = append(catalog.Beside, engine.Calls())
		case engine.BesideAddresses:
			catalog.Beside = append(catalog.Beside, engine.Requisites(l.presets()), engine.Addresses())
		}
	}
	for _, e := range catalog.Entities {
		c.noteTable(e, asked)
	}
	return catalog, nil
}

// loading gathers the answers that a catalog is made of. Calls have names, so
// that an answer is found whatever batch it came in.
type loading struct {
	client  *Client
	names   []string
	calls   []call
	replies map[string]reply
	titles  []string // of smart processes, as the job writes them
	typeIDs []int    // of entities to be loaded
	users   int      // pages of users asked for
	linkers []int    // further entities, of which only the fields are loaded; nil: not wanted
}

func newLoading(c *Client, needs engine.Needs) *loading {
	l := &loading{client: c, replies: map[string]reply{}}
	seen := map[string]bool{}
	for _, name := range needs.Entities {
		name = engine.CanonicalEntityName(name)
		if seen[strings.ToLower(name)] {
			continue
		}
		seen[strings.ToLower(name)] = true
		if id, ok := engine.StandardEntity(name); ok {
			l.typeIDs = append(l.typeIDs, id)
		} else if id, err := strconv.Atoi(name); err == nil && id > 0 {
			l.typeIDs = append(l.typeIDs, id)
		} else {
			l.titles = append(l.titles, name)
		}
	}
	slices.Sort(l.typeIDs)
	l.typeIDs = slices.Compact(l.typeIDs)
	return l
}

func (l *loading) add(name, method string, params map[string]any) {
	l.names = append(l.names, name)
	l.calls = append(l.calls, call{Method: method, Params: params, Name: "n" + strconv.Itoa(len(l.names))})
}

// ask sends the calls that were added.
func (l *loading) ask(ctx context.Context) error {
	if len(l.calls) == 0 {
		return nil
	}
	replies, err := l.client.ask(ctx, l.calls, askOptions{together: true})
	if err != nil {
		return err
	}
	for i, r := range replies {
		l.replies[l.names[i]] = r
	}
	l.names, l.calls = nil, nil
	return nil
}

// usersAhead is how many pages of users the first batch asks for unseen.
const usersAhead = 4

// first adds all that can be asked at once.
func (l *loading) first(needs engine.Needs) {
	l.add("profile", "profile", nil)
	for i, title := range l.titles {
		name := "type " + title
		l.add(name, "crm.type.list", map[string]any{"filter": map[string]any{"title": title}})
		// The entityTypeId of the first type with that title, if there is one;
		// otherwise these calls fail, and nothing is lost.
		l.addEntity("title "+strconv.Itoa(i), reference("$result["+l.calls[len(l.calls)-1].Name+"][types][0][entityTypeId]"), false)
	}
	if len(l.titles) > 0 || needs.Linkers {
		l.add("owner types", "crm.enum.ownertype", nil)
	}
	if slices.Contains(needs.Beside, engine.BesideAddresses) {
		l.add("presets", "crm.requisite.preset.list", map[string]any{
			"filter": map[string]any{"ENTITY_TYPE_ID": engine.TypeRequisite, "ACTIVE": "Y"}, "order": map[string]any{"SORT": "ASC"},
		})
	}
	if needs.Linkers {
		l.linkers = []int{}
		for _, id := range engine.StandardEntities() {
			l.addLinker(id)
		}
	}
	for _, id := range l.typeIDs {
		l.addEntity(strconv.Itoa(id), id, isProcess(id))
	}
	if len(l.typeIDs)+len(l.titles) > 0 {
		l.add("statuses", "crm.status.list", nil)
	}
	if needs.Users {
		for range usersAhead {
			l.addUsers()
		}
	}
}

// isProcess says whether an entityTypeId is a smart process's.
func isProcess(typeID int) bool { return typeID >= 128 }

// hasCategories says whether items of an entity are in pipelines that
// crm.category.list knows. Leads and quotes have stages without; contacts and
// companies have neither.
func hasCategories(typeID int) bool {
	return typeID == engine.TypeDeal || typeID == engine.TypeInvoice || isProcess(typeID) || typeID == 36 || typeID == 39
}

// addEntity adds the calls that describe an entity. The id is a number or a
// reference to one.
func (l *loading) addEntity(name string, typeID any, withType bool) {
	l.add(name+" fields", "crm.item.fields", map[string]any{"entityTypeId": typeID, "useOriginalUfNames": "N"})
	if id, known := typeID.(int); !known || hasCategories(id) {
		l.add(name+" categories", "crm.category.list", map[string]any{"entityTypeId": typeID})
	}
	l.add(name+" items", methodList, map[string]any{
		"entityTypeId": typeID, "select": []any{"id"}, "order": map[string]any{"id": "ASC"}, "start": 0, // with the total
	})
	if withType {
		l.add(name+" type", "crm.type.getByEntityTypeId", map[string]any{"entityTypeId": typeID})
	}
}

// addLinker adds the call that says what items of an entity may link to.
func (l *loading) addLinker(typeID int) {
	if slices.Contains(l.typeIDs, typeID) || slices.Contains(l.linkers, typeID) {
		return
	}
	l.linkers = append(l.linkers, typeID)
	l.add("linker "+strconv.Itoa(typeID)+" fields", "crm.item.fields", map[string]any{"entityTypeId": typeID, "useOriginalUfNames": "N"})
}

func (l *loading) addUsers() {
	l.add("users "+strconv.Itoa(l.users), "user.get", map[string]any{
		"sort": "ID", "order": "ASC", "start": l.users * pageSize,
	})
	l.users++
}

// second adds what only the first answers made known.
func (l *loading) second() {
	var more []int
	for i, title := range l.titles {
		ids := l.titled(title)
		if loaded := l.loadedByTitle(i, title); loaded != 0 {
			ids = slices.DeleteFunc(ids, func(id int) bool { return id == loaded })
		}
		more = append(more, ids...)
	}
	slices.Sort(more)
	for _, id := range slices.Compact(more) {
		if !slices.Contains(l.typeIDs, id) {
			l.typeIDs = append(l.typeIDs, id)
			l.addEntity(strconv.Itoa(id), id, true)
		}
	}
	if l.linkers != nil {
		for _, o := range l.ownerTypes() {
			if isProcess(o.ID.whole()) {
				l.addLinker(o.ID.whole())
			}
		}
	}
	total := l.replies["users 0"].Result.Total
	for l.users > 0 && l.users*pageSize < total && l.users < maxUserPages {
		l.addUsers()
	}
}

// maxUserPages bounds what a portal can make us read.
const maxUserPages = 1000

// crmType is a smart process as crm.type.list prints it.
type crmType struct {
	ID     number `json:"id"`
	Title  text   `json:"title"`
	TypeID number `json:"entityTypeId"`
}

// titled are the entityTypeIds of the smart processes with a title. A webhook
// that may not list types sees them among the owner types.
func (l *loading) titled(title string) []int {
	var ids []int
	if r := l.replies["type "+title]; r.Err == nil {
		for _, t := range l.types("type " + title) {
			if strings.EqualFold(strings.TrimSpace(string(t.Title)), title) {
				ids = append(ids, t.TypeID.whole())
			}
		}
		return ids
	}
	for _, o := range l.ownerTypes() {
		if isProcess(o.ID.whole()) && strings.EqualFold(strings.TrimSpace(string(o.Name)), title) {
			ids = append(ids, o.ID.whole())
		}
	}
	return ids
}

// ownerType is an entity as crm.enum.ownertype prints it.
type ownerType struct {
	ID   number `json:"ID"`
	Name text   `json:"NAME"`
}

// ownerTypes are the portal's entities, which every webhook may list.
func (l *loading) ownerTypes() []ownerType {
	var owners []ownerType
	if r := l.replies["owner types"]; r.Err != nil || json.Unmarshal(r.Result.Value, &owners) != nil {
		return nil
	}
	return owners
}

// types reads an answer of crm.type.list.
func (l *loading) types(name string) []crmType {
	var answer struct {
		Types []crmType `json:"types"`
	}
	r := l.replies[name]
	if r.Err != nil || json.Unmarshal(r.Result.Value, &answer) != nil {
		return nil
	}
	return answer.Types
}

// loadedByTitle is the entityTypeId that the first batch loaded for a title, or
// 0 where it did not: the first type of the list.
func (l *loading) loadedByTitle(i int, title string) int {
	types := l.types("type " + title)
	if len(types) == 0 {
		return 0
	}
	for _, part := range []string{" fields", " categories", " items"} {
		if r, asked := l.replies["title "+strconv.Itoa(i)+part]; !asked || r.Err != nil {
			return 0
		}
	}
	return types[0].TypeID.whole()
}

// catalog puts the answers together.
func (l *loading) catalog() (*engine.Catalog, error) {
	info, err := l.portal()
	if err != nil {
		return nil, err
	}
	catalog := &engine.Catalog{Portal: info}
	statuses, err := l.statuses()
	if err != nil {
		return nil, err
	}
	done := map[int]bool{}
	add := func(name string, typeID int, kind crmType) error {
		if typeID == 0 || done[typeID] {
			return nil
		}
		e, err := l.entity(name, typeID, kind, statuses)
		if e != nil {
			done[typeID] = true
			catalog.Entities = append(catalog.Entities, e)
		}
		return err
	}
	for i, title := range l.titles {
		if id := l.loadedByTitle(i, title); slices.Contains(l.titled(title), id) {
			if err := add("title "+strconv.Itoa(i), id, l.types("type " + title)[0]); err != nil {
				return nil, err
			}
		}
	}
	for _, id := range l.typeIDs {
		if err := add(strconv.Itoa(id), id, l.typeOf(id)); err != nil {
			return nil, err
		}
	}
	for _, id := range l.linkers {
		e, err := l.entity("linker "+strconv.Itoa(id), id, crmType{Title: l.ownerName(id)}, statuses)
		if err != nil {
			return nil, err
		}
		if e != nil {
			catalog.Linkers = append(catalog.Linkers, e)
		}
	}
	slices.SortFunc(catalog.Entities, func(a, b *engine.Entity) int { return a.TypeID - b.TypeID })
	catalog.Users = l.people()
	return catalog, nil
}

// ownerName is the name of an entity among the owner types.
func (l *loading) ownerName(typeID int) text {
	for _, o := range l.ownerTypes() {
		if o.ID.whole() == typeID {
			return o.Name
		}
	}
	return ""
}

// typeOf is the smart process with an entityTypeId, as far as it is known.
func (l *loading) typeOf(typeID int) crmType {
	var answer struct {
		Type crmType `json:"type"`
	}
	r := l.replies[strconv.Itoa(typeID)+" type"]
	if r.Err == nil && !isNull(r.Result.Value) && json.Unmarshal(r.Result.Value, &answer) == nil {
		return answer.Type
	}
	return crmType{}
}

// portal reads who we are (profile).
func (l *loading) portal() (engine.PortalInfo, error) {
	r := l.replies["profile"]
	if r.Err != nil {
		return engine.PortalInfo{}, r.Err
	}
	var p struct {
		ID       number `json:"ID"`
		Admin    text   `json:"ADMIN"`
		Name     text   `json:"NAME"`
		LastName text   `json:"LAST_NAME"`
	}
	if err := json.Unmarshal(r.Result.Value, &p); err != nil {
		return engine.PortalInfo{}, errors.New("profile: the answer is not a user")
	}
	l.client.identified(int64(p.ID.whole()))
	return engine.PortalInfo{
		Address: l.client.Address().String(), ID: l.client.ID(), UserID: int64(p.ID.whole()), Admin: isYes(p.Admin),
		User: strings.TrimSpace(string(p.Name) + " " + string(p.LastName)),
	}, nil
}

// people reads the users. A webhook without the scope loads none: the job may
// not name a person after all.
func (l *loading) people() []engine.User {
	var users []engine.User
	seen := map[int64]bool{}
	for page := range l.users {
		r := l.replies["users "+strconv.Itoa(page)]
		if r.Err != nil {
			l.client.logger.Warn("people can't be found by name; give the webhook the scope user", "fault", r.Err.Error())
			return nil
		}
		var rows []struct {
			ID       number `json:"ID"`
			Active   text   `json:"ACTIVE"`
			Name     text   `json:"NAME"`
			LastName text   `json:"LAST_NAME"`
			Email    text   `json:"EMAIL"`
		}
		if json.Unmarshal(r.Result.Value, &rows) != nil {
			continue
		}
		for _, row := range rows {
			id := int64(row.ID.whole())
			if id > 0 && !seen[id] {
				seen[id] = true
				name := strings.Join(strings.Fields(string(row.Name)+" "+string(row.LastName)), " ")
				users = append(users, engine.User{ID: id, Name: name, Email: string(row.Email), Active: boolean(string(row.Active)) == true})
			}
		}
	}
	slices.SortFunc(users, func(a, b engine.User) int { return int(max(-1, min(1, a.ID-b.ID))) })
	return users
}
