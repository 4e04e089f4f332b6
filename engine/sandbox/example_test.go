package sandbox_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/bxflow/bxflow/engine/sandbox"
)

// A portal for a test: no server, no socket, contents that begin empty.
func ExampleNew() {
	portal, err := sandbox.New(sandbox.Options{Seed: "empty"})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer portal.Close()
	client := &http.Client{Transport: portal.Transport()}
	for _, call := range []string{
		"crm.item.import?entityTypeId=128&fields[title]=Welcome",
		"crm.item.list?entityTypeId=128&select[]=id&select[]=title&start=-1",
	} {
		res, err := client.Get("http://portal.test" + portal.WebhookPath() + call)
		if err != nil {
			fmt.Println(err)
			return
		}
		body, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err != nil {
			fmt.Println(err)
			return
		}
		result, _, _ := strings.Cut(string(body), `,"time"`)
		fmt.Println(res.StatusCode, result)
	}
	// Output:
	// 200 {"result":{"item":{"id":1}}
	// 200 {"result":{"items":[{"id":1,"title":"Welcome"}]}
}
