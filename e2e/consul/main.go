// Command consul is Consul's agent as the tests run it: `consul agent -dev`, without the other commands.
package main

import (
	"fmt"
	"os"

	"github.com/mitchellh/cli"

	"github.com/hashicorp/consul/command/agent"
	consulcli "github.com/hashicorp/consul/command/cli"
)

func main() {
	if len(os.Args) < 2 || os.Args[1] != "agent" {
		fmt.Fprintln(os.Stderr, "usage: consul agent [flags]")
		os.Exit(2)
	}
	ui := &consulcli.BasicUI{BasicUi: cli.BasicUi{Writer: os.Stdout, ErrorWriter: os.Stderr}}
	os.Exit(agent.New(ui).Run(os.Args[2:]))
}
