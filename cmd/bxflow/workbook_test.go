package main

import (
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/xuri/excelize/v2"
)

// makeWorkbook is the command workbook of scripts: it makes an XLSX file of a
// text. In that [NAME] begins a sheet, and each line is a row with a bar between
// the cells. What looks like a number or a date is one, true and false are
// truths, what begins with = is a formula without a value, and what is quoted a
// text.
func makeWorkbook(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: workbook FILE.xlsx TEXT")
	}
	f := excelize.NewFile()
	sheet, row := "", 0
	for line := range strings.Lines(ts.ReadFile(args[1])) {
		line = strings.TrimSpace(line)
		if name, found := strings.CutPrefix(line, "["); found {
			sheet, row = strings.TrimSuffix(name, "]"), 0
			_, err := f.NewSheet(sheet)
			ts.Check(err)
			continue
		}
		row++
		for i, text := range strings.Split(line, "|") {
			cell, err := excelize.CoordinatesToCellName(i+1, row)
			ts.Check(err)
			if formula, found := strings.CutPrefix(text, "="); found {
				ts.Check(f.SetCellFormula(sheet, cell, formula))
				continue
			}
			ts.Check(f.SetCellValue(sheet, cell, cellOf(text)))
		}
	}
	ts.Check(f.DeleteSheet("Sheet1"))
	ts.Check(f.SaveAs(ts.MkAbs(args[0])))
	ts.Check(os.Chmod(ts.MkAbs(args[0]), 0o600))
}

func cellOf(text string) any {
	if n, err := strconv.ParseFloat(text, 64); err == nil {
		return n
	}
	if t, err := time.Parse(time.DateOnly, text); err == nil {
		return t
	}
	switch text {
	case "":
		return nil
	case "true", "false":
		return text == "true"
	}
	return strings.Trim(text, `"`)
}
