package main

import (
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"

	"golang.org/x/text/unicode/norm"

	"github.com/bxflow/bxflow/engine"
	"github.com/bxflow/bxflow/steps"
)

// jobDraft is a job in the making for a file.
type jobDraft struct {
	portal string // as the job names it; empty: it does not
	file   string
	beside bool // the job lies in the file's folder
	entity *engine.Entity
	region string
	lines  []draftLine
	match  int // index of the line of the key, -1: none
}

// draftLine is a column and what becomes of it.
type draftLine struct {
	column  string
	cells   []string      // the first ones that are not blank
	unique  bool          // all of them differ, and none is blank
	field   *engine.Field // nil: no field fits
	value   string        // the expression, without its mark
	remarks []string      // what is guessed, or why it has no field
	guess   bool
}

func newJobDraft(sample *steps.Sample, entity *engine.Entity, region string) *jobDraft {
	d := &jobDraft{entity: entity, region: region, match: -1}
	taken := map[*engine.Field]bool{}
	for i, column := range sample.Columns {
		line := draftLine{column: column, unique: len(sample.Rows) > 0}
		seen := map[string]bool{}
		for _, row := range sample.Rows {
			cell := ""
			if i < len(row) {
				cell = strings.TrimSpace(row[i])
			}
			line.unique = line.unique && cell != "" && !seen[cell]
			seen[cell] = true
			if cell != "" {
				line.cells = append(line.cells, cell)
			}
		}
		d.lines = append(d.lines, line)
	}
	// What bears a field's name comes before what is only guessed to be it.
	for _, certain := range []bool{true, false} {
		for i := range d.lines {
			line := &d.lines[i]
			if line.field != nil {
				continue
			}
			f := d.fieldOf(line, certain)
			if f == nil || taken[f] {
				continue
			}
			line.field, taken[f] = f, true
			if !certain {
				line.remark("the field")
			}
		}
	}
	for i := range d.lines {
		d.express(&d.lines[i])
	}
	d.chooseKey()
	return d
}

// remark notes what is guessed of a line.
func (l *draftLine) remark(text string) {
	l.guess = true
	l.remarks = append(l.remarks, text)
}

// fieldOf finds the field of a column: by its names, or else by what people call
// such columns, or by what is in it.
func (d *jobDraft) fieldOf(line *draftLine, certain bool) *engine.Field {
	name := folded(line.column)
	want := ""
	if !certain {
		for field, names := range columnNames() {
			if slices.Contains(strings.Fields(names), name) {
				want = field
			}
		}
		if want == "" && all(line.cells, regexp.MustCompile(`^[^@\s]+@[^@\s]+\.[^@\s]+$`).MatchString) {
			want = "email"
		}
		if want == "name" && d.entity.FieldByName("name") == nil {
			want = "title"
		}
	}
	for _, f := range d.entity.Fields {
		if f.ReadOnly || f.Type == engine.FieldFile || name == "" {
			continue
		}
		if certain && slices.Contains([]string{folded(f.Title), folded(f.Name), folded(f.Upper)}, name) || f.Name == want {
			return f
		}
	}
	return nil
}

// columnNames are what columns of a field are called in several languages,
// folded, by the field's REST name.
func columnNames() map[string]string {
	return map[string]string{
		"name":        "nome primeironome firstname nombre prenome fullname nomecompleto nombrecompleto имя фио cliente",
		"lastName":    "sobrenome surname apellido apellidos familyname фамилия",
		"secondName":  "nomedomeio middlename segundonombre отчество",
		"phone":       "telefone fone tel celular telemovel mobile cellphone whatsapp telefono movil phonenumber телефон",
		"email":       "mail correo correoelectronico emailaddress почта",
		"birthdate":   "nascimento datanascimento datadenascimento nasc dtnasc birthday dateofbirth dob fechanacimiento fechadenacimiento датарождения",
		"post":        "cargo funcao jobtitle position puesto должность",
		"title":       "titulo empresa company companyname razaosocial nomefantasia название компания assunto",
		"comments":    "observacao observacoes obs notas notes comentario comentarios комментарий",
		"opportunity": "valor amount total preco price monto importe сумма",
		"web":         "site website url pagina сайт",
	}
}

// folded is a name without case, accents, spaces and marks.
func folded(name string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			return unicode.ToLower(r)
		}
		return -1
	}, norm.NFD.String(name))
}

// all says whether there are values, and each is as asked.
func all(values []string, is func(string) bool) bool {
	return len(values) > 0 && !slices.ContainsFunc(values, func(v string) bool { return !is(v) })
}

// express works out the expression that turns a column into its field.
func (d *jobDraft) express(line *draftLine) {
	cell := "row." + line.column
	if !regexp.MustCompile(`^[\pL_][\pL\d_]*$`).MatchString(line.column) {
		cell = fmt.Sprintf("row[%q]", line.column)
	}
	line.value = cell
	f := line.field
	switch {
	case f == nil:
	case f.Name == "phone":
		if d.region != "" {
			line.value = fmt.Sprintf("phone(%s, %q)", cell, d.region)
		}
	case f.Name == "email":
		line.value = "lower(" + cell + ")"
	case f.Type == engine.FieldDate || f.Type == engine.FieldDateTime:
		d.date(line, cell)
	case f.Type == engine.FieldDouble || f.Type == engine.FieldInteger:
		if all(line.cells, regexp.MustCompile(`^-?[\d.]+(,\d+)?$`).MatchString) && slices.ContainsFunc(line.cells, func(c string) bool { return strings.Contains(c, ",") }) {
			line.value = fmt.Sprintf("number(%s, \",\")", cell)
			line.remark("the decimal comma")
		}
	case f.Type == engine.FieldEnum || f.Type == engine.FieldStatus:
		for _, v := range line.cells {
			if _, err := f.Option(v); err != nil {
				line.field, line.guess = nil, false
				line.remarks = []string{fmt.Sprintf("%s has no value %q", fieldName(f), v)}
				return
			}
		}
	case identity(line):
		line.value = "digits(" + cell + ")"
	}
}

// identity says whether a column seems to hold numbers of persons or firms that
// are written with dots and dashes here and without them there.
func identity(line *draftLine) bool {
	return slices.Contains(strings.Fields("cpf cnpj cpfcnpj nif rut"), folded(line.column)) &&
		all(line.cells, regexp.MustCompile(`^[\d./-]+$`).MatchString)
}

// date finds the layout of a column of dates.
func (d *jobDraft) date(line *draftLine, cell string) {
	var fit []string
	for _, layout := range []string{time.DateOnly, "02/01/2006", "01/02/2006", "02.01.2006", "02-01-2006", "2006-01-02 15:04:05", "02/01/2006 15:04"} {
		if all(line.cells, func(v string) bool { _, err := time.Parse(layout, v); return err == nil }) {
			fit = append(fit, layout)
		}
	}
	switch {
	case len(fit) == 0 && len(line.cells) > 0:
		line.remark("dates are written as the field takes them")
	case len(fit) > 0:
		line.value = fmt.Sprintf("date(%s, %q)", cell, fit[0])
		if len(fit) > 1 {
			line.remark("day before month")
		}
	}
}

// chooseKey finds the column by which an item is found again: numbers of persons
// before e-mails before telephones, of those in which all rows differ.
func (d *jobDraft) chooseKey() {
	best := 0
	for i, line := range d.lines {
		if line.field == nil {
			continue
		}
		rank := 0
		name := folded(line.column)
		switch {
		case slices.Contains(strings.Fields("cpf cnpj cpfcnpj nif rut inn инн code codigo externalid externalcode matricula"), name):
			rank = 4
		case line.field.Name == "email":
			rank = 3
		case line.field.Name == "phone":
			rank = 2
		case line.field.Name == "title":
			rank = 1
		}
		if rank > 0 && line.unique {
			rank += 10
		}
		if rank > best {
			best, d.match = rank, i
		}
	}
}

// fieldName is how the job names a field: a custom one by its title.
func fieldName(f *engine.Field) string {
	if f.Custom && f.Title != "" {
		return f.Title
	}
	return f.Name
}

// nameIn is how the job names a field, which must fit no other.
func (d *jobDraft) nameIn(f *engine.Field) string {
	if found, err := d.entity.Field(fieldName(f)); err == nil && found == f {
		return fieldName(f)
	}
	return f.Name
}

// mapped says whether any column found a field.
func (d *jobDraft) mapped() bool {
	return slices.ContainsFunc(d.lines, func(l draftLine) bool { return l.field != nil })
}

// text is the job file.
func (d *jobDraft) text() string {
	var b strings.Builder
	base := filepath.Base(d.file)
	name := strings.TrimSuffix(base, filepath.Ext(base))
	b.WriteString("version: 1\nname: " + scalarText(name) + "\n")
	b.WriteString("description: " + scalarText("Rows of "+base+" become items of "+d.entity.Name+".") + "\n")
	if d.portal != "" {
		b.WriteString("portal: " + scalarText(d.portal) + "\n")
	}
	file := "required: true"
	if d.beside {
		file = "default: " + flowText(base)
	}
	b.WriteString("params:\n  file: {type: path, " + file + "}\nsteps:\n  - read: ${{ params.file }}\n")
	d.writeRequired(&b)
	if d.match < 0 {
		b.WriteString("  # No column tells items apart: each row makes one, once. Put key: below read, if there is such a column after all.\n")
		b.WriteString("  - create: " + scalarText(d.entity.Name) + "\n")
	} else {
		key := d.lines[d.match]
		b.WriteString("  - import: " + scalarText(d.entity.Name) + "\n    match: " + scalarText(d.nameIn(key.field)))
		b.WriteString("   # guess: an item is known by it")
		if !key.unique {
			b.WriteString("; some rows have none, or the same")
		}
		b.WriteString("\n")
	}
	b.WriteString("    fields:\n")
	for _, line := range d.lines {
		d.writeLine(&b, line)
	}
	for _, f := range d.entity.Fields {
		if f.Required && !f.ReadOnly && f.Type != engine.FieldBoolean && !slices.ContainsFunc(d.lines, func(l draftLine) bool { return l.field == f }) {
			b.WriteString("      # " + oneLine(fieldName(f)) + ": the portal requires it, and no column has it\n")
		}
	}
	return b.String()
}

// writeRequired lists the columns that the job uses.
func (d *jobDraft) writeRequired(b *strings.Builder) {
	var columns []string
	for _, line := range d.lines {
		if line.field != nil {
			columns = append(columns, flowText(line.column))
		}
	}
	if columns != nil {
		b.WriteString("    require: [" + strings.Join(columns, ", ") + "]\n")
	}
}

func (d *jobDraft) writeLine(b *strings.Builder, line draftLine) {
	if line.field == nil {
		remark := "no field has this name"
		if line.remarks != nil {
			remark = strings.Join(line.remarks, ", ")
		}
		b.WriteString("      # " + oneLine(line.column) + ": ${{ " + oneLine(line.value) + " }}   # " + oneLine(remark) + "\n")
		return
	}
	value := "${{ " + line.value + " }}"
	if strings.Contains(value, ": ") || strings.Contains(value, " #") {
		value = quotedText(value)
	}
	b.WriteString("      " + scalarText(d.nameIn(line.field)) + ": " + value)
	if line.guess {
		b.WriteString("   # guess: " + oneLine(strings.Join(line.remarks, ", ")))
	}
	b.WriteString("\n")
}

// summary says how many columns found a field.
func (d *jobDraft) summary() string {
	mapped, guesses := 0, 0
	for _, line := range d.lines {
		if line.field != nil {
			mapped++
		}
		if line.guess {
			guesses++
		}
	}
	if d.match >= 0 {
		guesses++
	}
	return fmt.Sprintf("%d of %d columns have a field; %d guesses, marked in the file", mapped, len(d.lines), guesses)
}

// scalarText writes a text as a YAML scalar, in quotes where it may be taken for
// something else.
func scalarText(text string) string {
	if regexp.MustCompile(`^\pL[\pL\d_. ,-]*$`).MatchString(text) && !strings.HasSuffix(text, " ") &&
		!slices.Contains([]string{"null", "true", "false", "yes", "no", "on", "off", "y", "n"}, strings.ToLower(text)) {
		return text
	}
	return quotedText(text)
}

// flowText is a scalar inside brackets or braces.
func flowText(text string) string {
	if strings.Contains(text, ",") {
		return quotedText(text)
	}
	return scalarText(text)
}

// quotedText is a scalar in quotes, on one line.
func quotedText(text string) string {
	if strings.ContainsFunc(text, unicode.IsControl) {
		return fmt.Sprintf("%q", text)
	}
	return "'" + strings.ReplaceAll(text, "'", "''") + "'"
}

// oneLine keeps a text on the line of its comment.
func oneLine(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == '\u2028' || r == '\u2029' || r == '\u0085' {
			return ' '
		}
		return r
	}, text)
}
