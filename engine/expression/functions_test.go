package expression_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bxflow/bxflow/engine/expression"
)

// day is a day of 2026, as date gives it.
func day(m time.Month, d int) time.Time { return time.Date(2026, m, d, 0, 0, 0, 0, time.UTC) }

func TestFunctions_giveValues(t *testing.T) {
	t.Parallel()
	tests := map[string]any{
		`digits("+55 (11) 9-8765")`:          "551198765",
		`digits("")`:                         "",
		`pick(" ", {"a": "b"})`:              "",
		`pick("A ", {"a": "b"})`:             "b",
		`pick("c", {"a": "b"}, "d")`:         "d",
		`digits(12345)`:                      "12345",
		`pad("1234567890", 11)`:              "01234567890",
		`pad(7, 3)`:                          "007",
		`pad(" é ", 3)`:                      "00é",
		`pad("12345", 3)`:                    "12345",
		`pad("", 3)`:                         "",
		`digits("１２a")`:                      "12",
		`trim("  a b  ")`:                    "a b",
		`lower("ÁÇÃO")`:                      "áção",
		`upper("ação")`:                      "AÇÃO",
		`title("MARIA DA SILVA E SÁ")`:       "Maria da Silva e Sá",
		`title("da silva")`:                  "Da Silva",
		`title("d'ávila sá-carneiro")`:       "D'Ávila Sá-Carneiro",
		`title("  joão   dos  santos")`:      "  João   dos  Santos",
		`replace("a-b-c", "-", "")`:          "abc",
		`replace("abc", "", "x")`:            "abc",
		`split("a;b;c", ";")`:                []any{"a", "b", "c"},
		`split(" a  b ")`:                    []any{"a", "b"},
		`split("", ";")`:                     []any{},
		`join(["Ana", "", null, "Sá"], " ")`: "Ana Sá",
		`join(split("a;b", ";"), "+")`:       "a+b",
		`join(card.tags, ",")`:               "a,b",
		`string(1.50)`:                       "1.5",
		`string(now)`:                        "2026-11-23T13:00:00Z",
		`string(null)`:                       "",

		`default(" ", "x")`:                  "x",
		`default("\u00a0", "x")`:             "x",
		`default(null, 1)`:                   int64(1),
		`default("a", "x")`:                  "a",
		`default(0, 1)`:                      int64(0),
		`omit()`:                             expression.Omitted{},
		`len(hash("a", 1))`:                  int64(16),
		`hash("ab", "c") == hash("a", "bc")`: false,
		`hash(1) == hash("1")`:               false,
		`hash(card.stock) == hash(2)`:        true,

		`yesno(" SIM ")`: true,
		`yesno("não")`:   false,
		`yesno("Да")`:    true,
		`yesno("Нет")`:   false,
		`yesno("0")`:     false,
		`yesno(true)`:    true,
		`yesno(" ")`:     "",

		`number("1.234,56")`:             1234.56,
		`number("1,234.56")`:             1234.56,
		`number("1.234.567")`:            1234567.0,
		`number("1 234,5")`:              1234.5,
		`number("R$ 1.234,56")`:          1234.56,
		`number("-R$ 5,00")`:             -5.0,
		`number("€12")`:                  12.0,
		`number("12,5")`:                 12.5,
		`number("0.125")`:                0.125,
		`number("1234.567")`:             1234.567,
		`number("1.234", ",")`:           1234.0,
		`number("1.234", ".")`:           1.234,
		`number("1'234.50")`:             1234.5,
		`number("−3")`:                   -3.0,
		`number(".5")`:                   0.5,
		`number(2)`:                      2.0,
		`number("")`:                     "",
		`number(" ")`:                    "",
		`int("42")`:                      int64(42),
		`int(" -7 ")`:                    int64(-7),
		`int("007")`:                     int64(7),
		`int(3.0)`:                       int64(3),
		`int("")`:                        "",
		`int(card.stock)`:                int64(2),
		`round(1.005, 2)`:                1.01,
		`round(-2.5)`:                    -3.0,
		`round(2)`:                       2.0,
		`round(number("2,345"[0:4]), 1)`: 2.3,
		`round(number(""), 2)`:           "",
		`round(1e300)`:                   1e300,

		`date("2026-02-28")`:                                            day(time.February, 28),
		`date("28.02.2026")`:                                            day(time.February, 28),
		`date("28/02/2026", "02/01/2006")`:                              day(time.February, 28),
		`date("28/02/2026", "dd/mm/yyyy")`:                              day(time.February, 28),
		`date("2/3/26", "d/m/yy")`:                                      day(time.March, 2),
		`date("2026-02-28 10:05", "YYYY-MM-DD HH:mm")`:                  time.Date(2026, time.February, 28, 10, 5, 0, 0, time.UTC),
		`date("2026-02-28T10:00:00+03:00") == date("2026-02-28 07:00")`: true,
		`date("", "02/01/2006")`:                                        "",
		`date(now)`:                                                     day(time.November, 23),
		`date(card.createdTime) < now`:                                  true,
		`format(now, "dd/mm/yyyy hh:mm")`:                               "23/11/2026 13:00",
		`format(now, "hh:mm:ss, dd/mm/yyyy")`:                           "13:00:00, 23/11/2026",
		`format(now, "hh dd/mm")`:                                       "13 23/11",
		`date("10:05 23/11/2026", "hh:mm dd/mm/yyyy") == date("2026-11-23T10:05", "yyyy-mm-ddThh:mm")`: true,
		`format(now, "2006")`: "2026",
		`daysAgo(30)`:         time.Date(2026, time.October, 24, 13, 0, 0, 0, time.UTC),
		`daysAgo(-1) > now`:   true,
		`now() == now`:        true,

		`phone("(11) 98765-4321", "BR")`:  "+5511987654321",
		`phone("+55 11 98765-4321")`:      "+5511987654321",
		`phone("11 98765 4321", "br")`:    "+5511987654321",
		`phone("912 345 678", "PT")`:      "+351912345678",
		`phone("", "BR")`:                 "",
		`email(" Ana@Example.com ")`:      "ana@example.com",
		`email("")`:                       "",
		`cpf("529.982.247-25")`:           "52998224725",
		`cpf("52998224725")`:              "52998224725",
		`cpf(" ")`:                        "",
		`cnpj("11.222.333/0001-81")`:      "11222333000181",
		`cnpj("12.ABC.345/01DE-35")`:      "12ABC34501DE35",
		`cnpj("12abc34501de35")`:          "12ABC34501DE35",
		`cnpj("")`:                        "",
		`first(filter([1, 2, 3], # > 1))`: int64(2),
		`sum(map(1..3, # * 2))`:           int64(12),
	}
	for source, want := range tests {
		t.Run(source, func(t *testing.T) {
			t.Parallel()

			got, err := evaluate(t, source)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("value (-want +got):\n%s", diff)
			}
		})
	}
}

func TestFunctions_refuseWhatIsNotOne(t *testing.T) {
	t.Parallel()
	tests := map[string]string{
		`number("abc")`:                    `"abc" is not a number`,
		`pick("Nwe", {"New": "Novo"})`:     `there is nothing to pick for "Nwe"; `,
		`pick("a", "b")`:                   "pick needs a map",
		`number("1.234")`:                  "could be thousands or a fraction",
		`number("1,2,3")`:                  "groups of three",
		`number("12.34.56")`:               "groups of three",
		`number("1.234,5,6")`:              "is not a number",
		`number("1", ";")`:                 `";" is not a decimal mark`,
		`number("12345678901234567")`:      "more than 15 digits",
		`number(".")`:                      "is not a number",
		`number("NaN")`:                    "is not a number",
		`int("1,5")`:                       `"1,5" is not a whole number`,
		`yesno("maybe")`:                   `"maybe" is neither yes nor no; write yes or no`,
		`int(1.5)`:                         "1.5 is not a whole number; use round(…) first",
		`int("99999999999999999999")`:      "is not a whole number",
		`round(1.5, 16)`:                   "round takes 0 to 15 places",
		`date("30/02/2026", "02/01/2006")`: `"30/02/2026" is not a date like "02/01/2006"`,
		`date("02/01/2006")`:               "name its layout",
		`date("x")`:                        `"x" is not a date`,
		`date("2026-01-01", "15:04")`:      `"15:04" is not a layout of a date`,
		`daysAgo(100000000)`:               "daysAgo takes",
		`phone("11 98765-4321")`:           "has no country code; name its region",
		`phone("123", "BR")`:               `"123" is not a phone number of BR`,
		`phone("11 98765-4321", "Brasil")`: `"Brasil" is not a region`,
		`phone("+55 00 1")`:                "is not a phone number",
		`email("ana")`:                     `"ana" is not an e-mail address`,
		`email("a@b")`:                     "is not an e-mail address",
		`email("Ana <a@b.co>")`:            "is not an e-mail address",
		`email("a@[127.0.0.1]")`:           "is not an e-mail address",
		`email("a@1.2.3.4")`:               "is not an e-mail address",
		`email("a@b.co, c@d.co")`:          "is not an e-mail address",
		`email("a@-b.co")`:                 "is not an e-mail address",
		`cpf("529.982.247-26")`:            `"529.982.247-26" is not a CPF: its check digits are wrong`,
		`cpf("111.111.111-11")`:            "all its digits are the same",
		`cpf("1234567890")`:                "this has 10; if a spreadsheet dropped zeros at its start, pad(text, 11) puts them back",
		`cpf("5299822472a")`:               "must have 11 digits",
		`cnpj("11.222.333/0001-82")`:       "check digits are wrong",
		`cnpj("00000000000000")`:           "all its digits are the same",
		`cnpj("12ABC34501DEAA")`:           "12 digits or letters and 2 digits",
		`cnpj("12ÁBC3450DE35")`:            "12 digits or letters",
		`string({"a": 1})`:                 "a map cannot be written as text",
		`lower(card.option ?? 5)`:          "lower takes text, not the value 5",
	}
	for source, want := range tests {
		t.Run(source, func(t *testing.T) {
			t.Parallel()

			_, err := evaluate(t, source)
			wantFault(t, err, want)
		})
	}
}

// The examples of the documentation are true.
func TestFunctions_examplesHold(t *testing.T) {
	t.Parallel()
	for _, doc := range expression.Functions() {
		t.Run(doc.Name, func(t *testing.T) {
			t.Parallel()

			if doc.Signature == "" || !strings.HasPrefix(doc.Signature, doc.Name+"(") || !strings.HasSuffix(doc.Doc, ".") {
				t.Errorf("%+v is not complete", doc)
			}
			source, want, ok := strings.Cut(doc.Example, " gives ")
			if !ok {
				if _, err := expression.Compile(strings.ReplaceAll(doc.Example, "row.x", "row.n"), sampleScope()); err != nil {
					t.Error(err)
				}
				return
			}
			got, err := evaluate(t, source)
			if err != nil {
				t.Fatal(err)
			}
			wanted, err := evaluate(t, want)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(wanted, got); diff != "" {
				t.Errorf("%s (-documented +got):\n%s", source, diff)
			}
		})
	}
}

// A date without a zone is one of the zone that the job runs in.
func TestDate_usesTheZoneOfNow(t *testing.T) {
	t.Parallel()
	zone := time.FixedZone("UTC-3", -3*60*60)
	p, err := expression.Compile(`date("2026-01-02")`, expression.Scope{})
	if err != nil {
		t.Fatal(err)
	}
	got, err := p.Eval(expression.Env{"now": time.Date(2026, time.November, 1, 0, 0, 0, 0, zone)})
	if err != nil {
		t.Fatal(err)
	}
	if want := time.Date(2026, time.January, 2, 0, 0, 0, 0, zone); !cmp.Equal(want, got) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestPick_fromAMapOfTheJob(t *testing.T) {
	t.Parallel()
	if first := sampleMap().Add("in progress", "x", 9); first != 3 {
		t.Errorf("a key that is there is found in line %d, want 3", first)
	}
	tests := map[string]struct {
		want  any
		fault string
	}{
		`pick("new", maps.stages)`:                               {want: "Novo"},
		`pick("IN PROGRESS", maps["stages"])`:                    {want: "Em andamento"},
		`pick("012", maps.stages)`:                               {want: "17"},
		`pick(7, maps.stages)`:                                   {want: "Seven"},
		`pick(7.0, maps.stages)`:                                 {want: "Seven"},
		`pick("", maps.stages)`:                                  {want: ""},
		`pick("x", maps.stages, "Other")`:                        {want: "Other"},
		`pick(["New", "012"], maps.stages)`:                      {want: []any{"Novo", "17"}},
		`pick(split("New;7", ";"), maps.stages)`:                 {want: []any{"Novo", "Seven"}},
		`map(card.tags, pick(#, maps.stages, "-"))`:              {want: []any{"-", "-"}},
		`row.n == "3" ? pick(row.n, maps.stages, 1) : omit()`:    {want: int64(1)},
		`pick(12, maps.stages)`:                                  {fault: `maps.stages has nothing for "12"; add a line to maps/stages.csv, which has "012"`},
		`pick("zzz", maps.stages)`:                               {fault: `maps.stages has nothing for "zzz"; add a line to maps/stages.csv`},
		`pick("undecided", maps.stages, "Other")`:                {fault: `maps.stages leaves open what "Undecided" becomes; fill it in at maps/stages.csv:6`},
		`pick("New", maps.stage)`:                                {fault: `1:18: unknown map "stage"; did you mean "stages"?`},
		`maps.stages`:                                            {fault: "maps.stages is a whole map; write pick(value, maps.stages)"},
		`maps.stages["New"]`:                                     {fault: "maps.stages is a whole map"},
		`default(maps.stages, "")`:                               {fault: "maps.stages is a whole map"},
		`pick(maps.stages, maps.stages)`:                         {fault: "maps.stages is a whole map"},
		`pick("New", maps)`:                                      {fault: `"maps" is a whole record; name one of its members, like maps.stages`},
		`pick("New", row.n == "1" ? maps.stages : {"New": "a"})`: {fault: "maps.stages is a whole map"},
	}
	for source, test := range tests {
		t.Run(source, func(t *testing.T) {
			t.Parallel()
			got, err := evaluate(t, source)
			if test.fault != "" {
				wantFault(t, err, test.fault)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	_, err := expression.CompileCondition(`pick("New", maps.stages)`, sampleScope())
	wantFault(t, err, "a condition must be true or false")
	_, err = expression.Compile(`pick("New", maps.stages)`, expression.Scope{})
	wantFault(t, err, "there are no maps here; list them under maps:")
}
