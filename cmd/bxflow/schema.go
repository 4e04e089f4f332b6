package main

import (
	"github.com/spf13/cobra"

	"github.com/bxflow/bxflow/jobs"
	"github.com/bxflow/bxflow/steps"
)

func newSchemaCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "schema",
		Short: "Print the JSON Schema of job files, for editors",
		Long: `Print the JSON Schema of job files. An editor that knows it completes keys and
marks mistakes; name it in the first line of a job:

  # yaml-language-server: $schema=bxflow.schema.json`,
		Example: "  bxflow schema",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			text, err := jobs.Schema(steps.All())
			if err != nil {
				return err
			}
			_, err = a.stdout.Write(text)
			return err
		},
	}
}
