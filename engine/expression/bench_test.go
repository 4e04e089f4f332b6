package expression_test

import (
	"testing"

	"github.com/bxflow/bxflow/engine/expression"
)

func BenchmarkCompile(b *testing.B) {
	scope := sampleScope()
	for b.Loop() {
		if _, err := expression.Compile(`row.nome == "" ? omit() : date(row.nome, "02/01/2006")`, scope); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkEval(b *testing.B) {
	for name, source := range map[string]string{
		"column": `row.nome`, "text": `trim(row.nome) + " / " + upper(row.n)`, "cpf": `cpf(row.cpf)`, "condition": `row.nome == "Ana" and row.n != ""`,
	} {
		b.Run(name, func(b *testing.B) {
			p, err := expression.Compile(source, sampleScope())
			if err != nil {
				b.Fatal(err)
			}
			env := sampleEnv()
			b.ReportAllocs()
			for b.Loop() {
				if _, err := p.Eval(env); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
