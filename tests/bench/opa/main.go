// How long OPA takes for the judgement that crates/policy/examples/judge_rate.rs measures: the same rules in Rego, embedded as a Go
// module, its query prepared and its input parsed beforehand. One JSON object on standard output: opa_us_<rules> for a call that
// nothing steps up, opa_step_up_us_<rules> for one that two rules do, opa_prepare_ms_1000 for reading 1,000 rules.
//
// Rules are written as OPA indexes them best: every one has its action, its server or tool, and its group as an equality or a
// membership of a constant, so that a lookup and no scan finds those that may apply.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"math"
	"strings"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"
)

const few = `package stepup

permit contains "read" if {
	input.action in {"discover", "tools/call"}
	input.server == "tickets"
	"ops-agents" in input.groups
	input.reviewed_read_only
}

permit contains "deploy" if {
	input.action == "tools/call"
	input.tool == "ops/deploy"
	"ops-agents" in input.groups
}

step_up contains "outside-staging" if {
	input.action == "tools/call"
	input.tool == "ops/deploy"
	not harmless
}

harmless if input.arguments.environment in {"staging", "test"}

step_up contains "big" if {
	input.action == "tools/call"
	input.tool == "ops/deploy"
	input.arguments.replicas > 3
}

forbid contains "mail" if {
	input.action == "tools/call"
	input.tool == "mail/send"
}

requirements := {"outside-staging": "release", "big": "release"}

judgement := {"is": "deny", "by": forbid} if count(forbid) > 0
else := {"is": "deny", "by": set()} if count(permit) == 0
else := {"is": "step_up", "by": step_up, "takes": {requirements[rule] | some rule in step_up}} if count(step_up) > 0
else := {"is": "permit", "by": permit}
`

const one = `
permit contains "%[1]d" if {
	input.action == "tools/call"
	input.server == "upstream-%[1]d"
	"team-%[2]d" in input.groups
	input.reviewed_read_only
}
`

func rules(total int) string {
	var text strings.Builder
	text.WriteString(few)
	for n := 5; n < total; n++ {
		fmt.Fprintf(&text, one, n, n%50)
	}
	return text.String()
}

type call struct{ figure, input, expected string }

var calls = []call{
	{
		"opa_us",
		`{"caller": "release-bot", "groups": ["ops-agents", "team-1", "team-2"], "action": "tools/call", "tool": "tickets/get_ticket",
		  "server": "tickets", "environment": "production", "reviewed_read_only": true,
		  "arguments": {"id": "T-4711", "fields": "title", "limit": 10}}`,
		`{"by":["read"],"is":"permit"}`,
	},
	{
		"opa_step_up_us",
		`{"caller": "release-bot", "groups": ["ops-agents", "team-1", "team-2"], "action": "tools/call", "tool": "ops/deploy",
		  "server": "ops", "environment": "production", "reviewed_read_only": false,
		  "arguments": {"environment": "production", "version": "2.4.1", "replicas": 9}}`,
		`{"by":["big","outside-staging"],"is":"step_up","takes":["release"]}`,
	},
}

func prepared(total int) (rego.PreparedEvalQuery, error) {
	return rego.New(rego.Query("data.stepup.judgement"), rego.Module("rules.rego", rules(total))).PrepareForEval(context.Background())
}

// measured is the microseconds of one evaluation, the best of five runs.
func measured(query rego.PreparedEvalQuery, call call) (float64, error) {
	input, err := ast.ValueFromReader(strings.NewReader(call.input))
	if err != nil {
		return 0, err
	}
	ctx, best := context.Background(), math.MaxFloat64
	const rounds = 5000
	for range 5 {
		start := time.Now()
		for range rounds {
			if _, err := query.Eval(ctx, rego.EvalParsedInput(input)); err != nil {
				return 0, err
			}
		}
		best = min(best, float64(time.Since(start).Nanoseconds())/1e3/rounds)
	}
	results, err := query.Eval(ctx, rego.EvalParsedInput(input))
	if err != nil {
		return 0, err
	}
	answer, err := json.Marshal(results[0].Expressions[0].Value)
	if err != nil {
		return 0, err
	}
	if string(answer) != call.expected {
		return 0, fmt.Errorf("%s was judged otherwise: %s", call.figure, answer)
	}
	return best, nil
}

// preparing is the milliseconds until 1,000 rules can be asked, the best of three.
func preparing() (float64, error) {
	best := math.MaxFloat64
	for range 3 {
		start := time.Now()
		if _, err := prepared(1000); err != nil {
			return 0, err
		}
		best = min(best, float64(time.Since(start).Microseconds())/1e3)
	}
	return best, nil
}

func run() error {
	figures := map[string]float64{}
	for _, total := range []int{10, 100, 1000, 10_000} {
		query, err := prepared(total)
		if err != nil {
			return err
		}
		for _, call := range calls {
			micros, err := measured(query, call)
			if err != nil {
				return err
			}
			figures[fmt.Sprintf("%s_%d", call.figure, total)] = math.Round(micros*100) / 100
		}
	}
	millis, err := preparing()
	if err != nil {
		return err
	}
	figures["opa_prepare_ms_1000"] = math.Round(millis*10) / 10
	text, err := json.Marshal(figures)
	fmt.Println(string(text))
	return err
}

func main() {
	if err := run(); err != nil {
		log.Fatal(err)
	}
}
