package expression

import (
	"errors"
	"fmt"
	"net/mail"
	"strings"

	"github.com/nyaruka/phonenumbers"
)

// identities check and normalise what names a person or a company. Blank text stays blank.
func identities() []function {
	return []function{
		{
			doc: FunctionDoc{
				"phone", "phone(text, region?)",
				"The number in international form; the region, such as BR, is that of numbers without a country code.",
				`phone("(11) 98765-4321", "BR") gives "+5511987654321"`,
			},
			min: 1, max: 2, types: []any{new(func(string) string), new(func(string, string) string)},
			call: phone, literal: regionLiteral,
		},
		checked("email", "The address in lower case, if it is one.", `email(" Ana@Example.com ") gives "ana@example.com"`, email),
		checked("cpf", "The eleven digits of a CPF whose check digits are right.", `cpf("529.982.247-25") gives "52998224725"`, cpf),
		checked("cnpj", "The fourteen characters of a CNPJ, also an alphanumeric one, whose check digits are right.",
			`cnpj("12.ABC.345/01DE-35") gives "12ABC34501DE35"`, cnpj),
	}
}

// checked is a function of one text that leaves blank text blank and names the value in its error.
func checked(name, doc, example string, check func(string) (string, error)) function {
	return function{
		doc: FunctionDoc{name, name + "(text)", doc, example},
		min: 1, max: 1, types: []any{new(func(string) string)},
		call: func(args ...any) (any, error) {
			text, err := textArg(name, args[0])
			if err != nil || blankText(text) {
				return "", err
			}
			value, err := check(clean(text))
			if err != nil {
				return nil, fmt.Errorf("%q %w", text, err)
			}
			return value, nil
		},
	}
}

// phone is the function of that name. The library parses much that is no number, so that validity is asked for as well.
func phone(args ...any) (any, error) {
	texts, err := textArgs("phone", args)
	if err != nil || blankText(texts[0]) {
		return "", err
	}
	region := ""
	if len(texts) > 1 {
		region = strings.ToUpper(texts[1])
		if err := regionLiteral(1, region); err != nil {
			return nil, err
		}
	}
	n, err := phonenumbers.Parse(clean(texts[0]), region)
	switch {
	case errors.Is(err, phonenumbers.ErrInvalidCountryCode) && region == "":
		return nil, fmt.Errorf("%q has no country code; name its region: phone(text, \"BR\")", texts[0])
	case err != nil || !phonenumbers.IsValidNumber(n):
		return nil, fmt.Errorf("%q is not a phone number%s; write it with its area code, or + and the country's", texts[0], ofRegion(region))
	}
	return phonenumbers.Format(n, phonenumbers.E164), nil
}

// ofRegion completes a message.
func ofRegion(region string) string {
	if region == "" {
		return ""
	}
	return " of " + region
}

// regionLiteral checks the region of phone: two letters of ISO 3166.
func regionLiteral(argument int, text string) error {
	if argument == 1 && !phonenumbers.GetSupportedRegions()[strings.ToUpper(text)] {
		return fmt.Errorf("%q is not a region; use two letters like BR or PT", text)
	}
	return nil
}

// email checks an address. The parser of messages also takes "Ana <ana@example.com>", comments, hosts without a dot and IP
// addresses: none of them is an address to keep in a CRM.
func email(text string) (string, error) {
	const maxAddress = 254 // RFC 5321, 4.5.3.1.3
	notOne := errors.New("is not an e-mail address; write it like ana@example.com")
	a, err := mail.ParseAddress(text)
	if err != nil || a.Name != "" || a.Address != text || len(text) > maxAddress {
		return "", notOne
	}
	at := strings.LastIndexByte(text, '@')
	labels := strings.Split(text[at+1:], ".")
	if len(labels) < 2 {
		return "", notOne
	}
	for _, label := range labels {
		if label == "" || strings.HasPrefix(label, "-") || strings.HasSuffix(label, "-") || strings.ContainsAny(label, "_[]:") {
			return "", notOne
		}
	}
	if last := labels[len(labels)-1]; len(last) < 2 || digits(last) == last {
		return "", notOne
	}
	return strings.ToLower(text), nil
}

// cpf checks a CPF: nine digits and two check digits.
func cpf(text string) (string, error) {
	s := stripped(text)
	switch {
	case len(s) != 11 || digits(s) != s:
		return "", errors.New("is not a CPF: it must have 11 digits" + lostZeros(s, 11))
	case repeated(s):
		return "", errors.New("is not a CPF: all its digits are the same")
	case checkDigit(s[:9], 11) != s[9] || checkDigit(s[:10], 11) != s[10]:
		return "", errors.New("is not a CPF: its check digits are wrong")
	}
	return s, nil
}

// cnpj checks a CNPJ: twelve characters, letters among them since July 2026 (Instrução Normativa RFB 2.229/2024), and two
// check digits.
func cnpj(text string) (string, error) {
	s := strings.ToUpper(stripped(text))
	switch {
	case len(s) != 14 || digits(s[12:]) != s[12:] || strings.Trim(s, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ") != "":
		return "", errors.New("is not a CNPJ: it must have 12 digits or letters and 2 digits" + lostZeros(s, 14))
	case repeated(s):
		return "", errors.New("is not a CNPJ: all its digits are the same")
	case checkDigit(s[:12], 9) != s[12] || checkDigit(s[:13], 9) != s[13]:
		return "", errors.New("is not a CNPJ: its check digits are wrong")
	}
	return s, nil
}

// stripped takes the punctuation out of a CPF or CNPJ.
func stripped(text string) string {
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune(".-/", r) || invisible(r) {
			return -1
		}
		return r
	}, text)
}

// lostZeros adds a likely reason, and what to do: spreadsheets drop the zeros at the start of what looks like a number.
func lostZeros(s string, want int) string {
	if digits(s) != s || len(s) >= want {
		return ""
	}
	return fmt.Sprintf(", this has %d; if a spreadsheet dropped zeros at its start, pad(text, %d) puts them back", len(s), want)
}

// repeated tells whether all characters are the same, which passes the check digits but is never given out.
func repeated(s string) bool { return strings.Trim(s, s[:1]) == "" }

// checkDigit is the digit of module 11 after s: from the right the weights are 2, 3, … up to the largest and then 2 again, the
// value of a character is its ASCII code less that of 0.
func checkDigit(s string, largest int) byte {
	sum, weight := 0, 2
	for i := len(s) - 1; i >= 0; i-- {
		sum += int(s[i]-'0') * weight
		if weight++; weight > largest {
			weight = 2
		}
	}
	if rest := sum % 11; rest > 1 {
		return byte('0' + 11 - rest)
	}
	return '0'
}
