package expression

import (
	"fmt"
	"slices"
	"strings"
)

// yesNo is the function of that name. Words that mean the one in one language
// and something else in another are left out.
func yesNo(args ...any) (any, error) {
	if b, ok := args[0].(bool); ok {
		return b, nil
	}
	texts, err := textArgs("yesno", args)
	if err != nil || blankText(texts[0]) {
		return "", err
	}
	word := strings.ToLower(clean(texts[0]))
	switch {
	case slices.Contains(strings.Fields("yes y true t on 1 x ✓ ✔ sim s verdadeiro sí si да д истина oui vrai o ja j wahr так tak"), word):
		return true, nil
	case slices.Contains(strings.Fields("no n false f off 0 - não nao falso нет н ложь non faux nein falsch nie ні"), word):
		return false, nil
	}
	return nil, fmt.Errorf("%q is neither yes nor no; write yes or no, sim or não, да or нет, true or false, 1 or 0", texts[0])
}
